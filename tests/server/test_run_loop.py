"""The event loop of graphs has threads for all that is not async, and others for what is stored."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from millstream.graph import START, StateGraph
from millstream.server import service
from server.fixtures import config_of, running
from server.streams import start, thread

FEW = min(32, (os.cpu_count() or 1) + 4)
"""Threads that an event loop has by itself."""


def test_as_many_sync_nodes_go_on_at_a_time_as_there_are_runs(tmp_path: Path) -> None:
    together = threading.Barrier(FEW + 1)

    def meet(state: dict[str, int]) -> dict[str, int]:
        return {"place": together.wait(60)}

    graph = StateGraph(dict).add_node("meet", meet).add_edge(START, "meet").compile()
    config = config_of({"meet": graph}, tmp_path, n_jobs_per_worker=FEW + 1)
    with running(config) as server:
        runs = [start(server, thread(server), "meet", {}) for _ in range(FEW + 1)]
        paths = [f"/threads/{run['thread_id']}/runs/{run['run_id']}/join" for run in runs]
        places = [server.http.get(path, timeout=60).json()["place"] for path in paths]
    assert sorted(places) == list(range(FEW + 1))


def test_a_state_is_read_while_nodes_have_all_threads(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, are_there = threading.Event(), threading.Semaphore(0)

    def wait(state: dict[str, int]) -> None:
        are_there.release()
        gate.wait(60)

    async def count(state: dict[str, int]) -> dict[str, int]:
        return {"n": 1}

    builder = StateGraph(dict).add_node("one", wait).add_node("other", wait)
    graphs = {
        "wait": builder.add_edge(START, "one").add_edge(START, "other").compile(),
        "count": StateGraph(dict).add_node("count", count).add_edge(START, "count").compile(),
    }
    # Two threads for two runs.
    monkeypatch.setattr(service, "MAX_THREADS", 1)
    config = config_of(graphs, tmp_path, database=new_database, n_jobs_per_worker=2)
    with running(config) as server:
        start(server, thread(server), "wait", {})
        assert are_there.acquire(timeout=60)
        assert are_there.acquire(timeout=60)
        at = thread(server)
        counted = server.http.post(
            f"/threads/{at}/runs/wait", json={"assistant_id": "count", "input": {}}, timeout=30
        )
        state = server.http.get(f"/threads/{at}/state", timeout=30).json()
        gate.set()
    assert (counted.json(), state["values"]) == ({"n": 1}, {"n": 1})
