"""What nodes say in worker processes is recorded as if they had said it here."""

from __future__ import annotations

import io
from typing import Any

import pytest

import millstream
from executors import acting
from executors.acting import graph_of
from millstream.executors import Executor
from millstream.modes.names import MODES

GIVEN = {"log": [], "count": 3}
NODES = ["write", "talk", "use_tool", "push", "call_graph"]


@pytest.mark.parametrize("subgraphs", [False, True], ids=["alone", "subgraphs"])
def test_streams_are_replayed(driver: Any, apart: Executor, subgraphs: bool) -> None:
    graph = graph_of(*(getattr(acting, name) for name in NODES), executor=apart)
    options = {"stream_mode": list(MODES), "subgraphs": subgraphs}

    live = driver.stream(graph, GIVEN, record=(file := io.BytesIO()), **options)
    shown = list(millstream.replay(file).stream(**options))

    assert len(live) > 20
    assert list(map(repr, shown)) == list(map(repr, live))


def test_run_streams_are_replayed(apart: Executor) -> None:
    graph = graph_of(*(getattr(acting, name) for name in NODES), executor=apart)
    run = graph.stream_events(GIVEN, version="v3", record=(file := io.BytesIO()))
    live = [(event["method"], event["params"]["data"]) for event in run]

    shown = [
        (event["method"], event["params"]["data"])
        for event in millstream.replay(file).stream_events()
    ]

    assert list(map(repr, shown)) == list(map(repr, live))
