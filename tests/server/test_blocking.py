"""A node that blocks the event loop in which graphs run: requests are answered all the same."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from typing_extensions import TypedDict

import waiting
from millstream.graph import START, StateGraph
from server.fixtures import config_of, running


class State(TypedDict, total=False):
    text: str


def test_requests_are_answered_while_a_node_blocks_its_loop(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    async def block(state: State) -> State:
        assert asyncio.get_running_loop() is not None
        begun.set()
        go.wait(60)  # not awaited: nothing else in this loop has its turn
        return {"text": "done"}

    graph = StateGraph(State).add_node("block", block).add_edge(START, "block").compile()
    with running(config_of({"block": graph}, tmp_path)) as server:
        try:
            thread = server.http.post("/threads", json={}).json()["thread_id"]
            body = {"assistant_id": "block", "input": {}}
            run = server.http.post(f"/threads/{thread}/runs", json=body).json()
            assert begun.wait(30)

            assert server.http.get("/ok", timeout=5).json()["ok"] is True
            assert server.http.get(f"/threads/{thread}", timeout=5).json()["status"] == "busy"
            path = f"/threads/{thread}/runs/{run['run_id']}"
            assert server.http.get(path, timeout=5).json()["status"] == "running"
            # Another run is taken, and waits for its turn in that loop.
            assert server.http.post("/runs", json=body, timeout=5).status_code == 200
        finally:
            go.set()
        assert waiting.until(lambda: server.http.get(path).json()["status"] == "success", 30)
