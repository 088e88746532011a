"""Nodes apart from their run, and graphs they call, wait for a reader with `max_buffered`."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing, closing
from typing import Any

import pytest

from executors.acting import State, graph_of
from executors.apart import Threads
from millstream.executors.line import WINDOW
from millstream.graph import START, StateGraph
from millstream.types import Command, StreamWriter

pytestmark = pytest.mark.timeout(30)
EMPTY: State = {"log": []}
LIMIT = 4
AHEAD = LIMIT + 2 * WINDOW


def leads_of(driver: Any, graph: Any, done: list[int], **options: Any) -> list[int]:
    """Read 200 items of what would never end; return how far ahead it was at each."""
    leads: list[int] = []
    options = {**options, "max_buffered": LIMIT}

    async def read() -> None:
        async with aclosing(graph.astream(EMPTY, **options)) as items:
            async for _ in items:
                # Whoever does not wait is far ahead now.
                for _ in range(50):
                    await asyncio.sleep(0)
                leads.append(len(done) - len(leads))
                if len(leads) == 200:
                    return

    if driver.name == "async":
        asyncio.run(read())
    else:
        with closing(graph.stream(EMPTY, **options)) as items:
            for _ in itertools.islice(items, 200):
                leads.append(len(done) - len(leads))
    return leads


def test_a_node_that_writes_is_not_far_ahead(driver: Any) -> None:
    done: list[int] = []

    def node(state: State, writer: StreamWriter) -> None:
        for index in itertools.count():
            done.append(index)
            writer(index)

    leads = leads_of(driver, graph_of(node, executor=Threads()), done, stream_mode="custom")

    assert max(leads) <= AHEAD


def endless(done: list[int]) -> Any:
    """Return a graph of a node elsewhere that calls a graph which never ends."""

    def step(state: State) -> Any:
        done.append(1)
        return Command(goto="step")

    inner = StateGraph(State).add_node("step", step).add_edge(START, "step").compile()

    def call(state: State) -> None:
        inner.invoke(EMPTY, {"recursion_limit": 1_000_000})

    return graph_of(call, executor=Threads())


def test_a_graph_that_a_node_calls_is_not_far_ahead(driver: Any) -> None:
    done: list[int] = []

    leads = leads_of(driver, endless(done), done, stream_mode="updates", subgraphs=True)

    assert max(leads) <= AHEAD


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_leaving_stops_a_graph_that_shows_more_and_more(limit: int | None) -> None:
    """Its run has no time to look whether anybody reads."""
    graph = endless([])
    for _ in range(50):
        options = {"stream_mode": "updates", "subgraphs": True, "max_buffered": limit}
        with closing(graph.stream(EMPTY, **options)) as items:
            assert len(list(itertools.islice(items, 20))) == 20
