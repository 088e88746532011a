"""What was logged of a run that was stopped is what is saved of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from runs.starting import AsyncStarter, Starter, State

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.real_time(reason="nodes take a moment, so that runs are left in the middle"),
]

THREAD = {"configurable": {"thread_id": "1"}}
WAYS = st.sampled_from(["cancel", "drain", "leave"])
SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def layers(shape: list[int], is_async: bool, begun: list[str], ended: list[str]) -> Any:
    """Compile a graph of supersteps of so many nodes, each of which depends on all before it."""

    def made(name: str) -> Any:
        def work() -> dict[str, Any]:
            get_stream_writer()(name)
            return {"log": [name]}

        def node(state: State) -> dict[str, Any]:
            begun.append(name)
            try:
                threading.Event().wait(0.0005)
                return work()
            finally:
                ended.append(name)

        async def anode(state: State) -> dict[str, Any]:
            begun.append(name)
            try:
                await asyncio.sleep(0.0005)
                return work()
            finally:
                ended.append(name)

        return anode if is_async else node

    builder = StateGraph(State)
    before: Any = START
    for depth, width in enumerate(shape):
        names = [f"{depth}.{index}" for index in range(width)]
        for name in names:
            builder.add_node(name, made(name))
            builder.add_edge(before, name)
        before = names
    return builder.compile(InMemorySaver())


@pytest.mark.parametrize("way", [Starter, AsyncStarter], ids=["sync", "async"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_log_never_disagrees_with_what_is_saved(way: Any, durability: Any) -> None:
    starter = way()

    @given(shape=SHAPES, after=st.integers(0, 20), how=WAYS)
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], database=None)
    def check(shape: list[int], after: int, how: str) -> None:
        begun: list[str] = []
        ended: list[str] = []
        graph = layers(shape, starter.is_async, begun, ended)
        with starter.start(graph, config=THREAD, durability=durability) as run:
            for event in run.events():
                if event.seq > after:
                    break
            if how != "leave":
                run.cancel() if how == "cancel" else run.drain()
                list(run.events())

        events = list(run.events())
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert sorted(begun) == sorted(ended)
        logged = [name for event in events if event.mode == "updates" for name in event.data]
        # Of a superstep that was left it has what the tasks wrote that have ended.
        saved = graph.get_state(THREAD).values.get("log", [])
        assert sorted(logged) == sorted(saved)
        # One that is stopped when it has nothing more to do was cancelled all the same.
        assert run.status != "success" or len(logged) == sum(shape)

    try:
        check()
    finally:
        starter.close()
