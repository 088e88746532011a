"""A node that blocks the event loop in which graphs run: requests are answered all the same."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

import waiting
from millstream.graph import START, StateGraph
from millstream.server.runs import watchdog
from server.fixtures import config_of, running


class State(TypedDict, total=False):
    text: str


class Blocker:
    """A node that blocks the event loop until it may go on."""

    def __init__(self) -> None:
        self.begun, self.may_go = threading.Event(), threading.Event()

    async def node(self, state: State) -> State:
        assert asyncio.get_running_loop() is not None
        self.begun.set()
        self.may_go.wait(60)  # not awaited: nothing else in this loop has its turn
        return {"text": "done"}


def graph_of(node: Any, name: str = "block") -> Any:
    """Compile a graph of one node."""
    return StateGraph(State).add_node(name, node).add_edge(START, name).compile()


def named(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return what is told of those who blocked the loop."""
    return [
        {**record.fields, "text": record.getMessage()}  # type: ignore[attr-defined]
        for record in caplog.records
        if "Node " in record.getMessage() and "blocks the event loop" in record.getMessage()
    ]


@pytest.mark.parametrize("is_nested", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_node_that_blocks_its_loop_is_named_once(
    is_nested: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "PERIOD", 0.01)
    monkeypatch.setattr(watchdog, "TOO_LONG", 0.5)
    blocker = Blocker()
    look = watchdog.Watchdog._look

    def look_later(dog: watchdog.Watchdog) -> None:
        # Before that, a busy machine may block what is around the node for so long.
        if blocker.begun.is_set():
            look(dog)

    monkeypatch.setattr(watchdog.Watchdog, "_look", look_later)
    graph = graph_of(blocker.node)
    if is_nested:
        graph = graph_of(graph, "outer")
    with running(config_of({"agent": graph}, tmp_path)) as server:
        try:
            body = {"assistant_id": "agent", "input": {}}
            run = server.http.post("/runs", json=body).json()
            assert waiting.until(lambda: named(caplog), 30)
            # Looked at some times more, it is still the same.
            assert not waiting.until(lambda: len(named(caplog)) > 1, 0.5)
        finally:
            blocker.may_go.set()

    (told,) = named(caplog)
    node = "outer/block" if is_nested else "block"
    assert told["node"] == node
    assert (told["graph_id"], told["run_id"]) == ("agent", run["run_id"])
    assert told["seconds"] >= 0.5
    assert f"Node {node!r} of graph 'agent' (run {run['run_id']}, {__file__}:" in told["text"]


def test_nodes_that_take_long_and_block_nobody_are_not_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    look = watchdog.Watchdog._look

    def counted(dog: watchdog.Watchdog) -> None:
        look(dog)
        looks.append(0)

    monkeypatch.setattr(watchdog, "PERIOD", 0.01)
    monkeypatch.setattr(watchdog, "TOO_LONG", 5.0)  # else the test blames a busy machine
    monkeypatch.setattr(watchdog.Watchdog, "_look", counted)
    may_go = threading.Event()

    async def wait(state: State) -> State:
        await waiting.auntil(may_go.is_set)
        return {"text": "done"}

    def wait_in_thread(state: State) -> State:
        may_go.wait(60)
        return {"text": "done"}

    graphs = {"async": graph_of(wait), "sync": graph_of(wait_in_thread)}
    with running(config_of(graphs, tmp_path)) as server:
        try:
            for name in graphs:
                server.http.post("/runs", json={"assistant_id": name, "input": {}})
            assert waiting.until(lambda: len(looks) > 5, 30)
        finally:
            may_go.set()

    assert named(caplog) == []


def test_requests_are_answered_while_a_node_blocks_its_loop(tmp_path: Path) -> None:
    blocker = Blocker()
    graph = graph_of(blocker.node)
    with running(config_of({"block": graph}, tmp_path)) as server:
        try:
            thread = server.http.post("/threads", json={}).json()["thread_id"]
            body = {"assistant_id": "block", "input": {}}
            run = server.http.post(f"/threads/{thread}/runs", json=body).json()
            assert blocker.begun.wait(30)

            assert server.http.get("/ok", timeout=5).json()["ok"] is True
            assert server.http.get(f"/threads/{thread}", timeout=5).json()["status"] == "busy"
            path = f"/threads/{thread}/runs/{run['run_id']}"
            assert server.http.get(path, timeout=5).json()["status"] == "running"
            # Another run is taken, and waits for its turn in that loop.
            assert server.http.post("/runs", json=body, timeout=5).status_code == 200
        finally:
            blocker.may_go.set()
        assert waiting.until(lambda: server.http.get(path).json()["status"] == "success", 30)
