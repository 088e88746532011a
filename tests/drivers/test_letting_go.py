"""A run that has ended keeps nothing alive, without the help of the garbage collector."""

from __future__ import annotations

import asyncio
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph
from millstream.types import Command


class Item:
    """A value that can be watched."""


class State(TypedDict, total=False):
    item: Item


Watched = list["weakref.ref[Item]"]


def build(watched: Watched) -> Any:
    """Compile a graph whose only node makes an item."""

    def make(state: State) -> State:
        item = Item()
        watched.append(weakref.ref(item))
        return {"item": item}

    builder = StateGraph(State)
    builder.add_node("make", make)
    builder.add_edge(START, "make")
    builder.add_edge("make", END)
    return builder.compile()


@pytest.mark.usefixtures("no_collector")
def test_a_result_lives_as_long_as_its_caller_keeps_it(driver: Any) -> None:
    watched: Watched = []
    graph = build(watched)

    result = driver.invoke(graph, {"item": Item()})
    is_kept = watched[0]() is not None
    del result

    assert is_kept
    assert watched[0]() is None


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("mode", ["values", "updates", "tasks", "debug"])
def test_streamed_state_lives_as_long_as_its_reader_keeps_it(driver: Any, mode: str) -> None:
    watched: Watched = []
    graph = build(watched)

    items = driver.stream(graph, {"item": Item()}, stream_mode=mode)
    is_kept = watched[0]() is not None
    del items

    assert is_kept
    assert watched[0]() is None


@pytest.mark.usefixtures("no_collector")
def test_what_a_nested_run_leaves_goes_with_it(driver: Any) -> None:
    watched: Watched = []
    builder = StateGraph(State)
    builder.add_node("inner", build(watched))
    builder.add_node("replace", lambda state: {"item": Item()})
    builder.add_edge(START, "inner")
    builder.add_edge("inner", "replace")
    graph = builder.compile()

    result = driver.invoke(graph, {"item": Item()})

    assert result["item"] is not None
    assert watched[0]() is None


class ClingingExecutor(ThreadPoolExecutor):
    """Keeps what its threads were called with and what they returned, as a slow thread may."""

    def __init__(self) -> None:
        super().__init__(1)
        self.kept: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call and keep all of it."""
        started: Future[Any] = super().submit(fn, *args, **kwargs)
        self.kept.append((fn, args, kwargs, started))
        return started


@pytest.mark.usefixtures("no_collector")
def test_what_a_graph_consists_of_lives_as_long_as_the_graph(driver: Any) -> None:
    def make(state: State) -> Any:
        return Command(goto="keep")

    builder = StateGraph(State)
    builder.add_node("make", make)
    builder.add_node("keep", lambda state: None)
    builder.add_edge(START, "make")
    builder.add_conditional_edges("keep", lambda state: END, [END])
    graph = builder.compile()
    function = weakref.ref(make)
    driver.invoke(graph, {"item": Item()})
    is_kept = function() is not None
    del make, graph, builder

    assert is_kept
    assert function() is None


@pytest.mark.usefixtures("no_collector")
def test_a_thread_that_lingers_keeps_no_state_of_an_async_run() -> None:
    watched: Watched = []
    alive: list[int] = []

    def make(state: State) -> State:
        alive.append(sum(item() is not None for item in watched))
        item = Item()
        watched.append(weakref.ref(item))
        return {"item": item}

    builder = StateGraph(State)
    names = [f"make {number}" for number in range(6)]
    for name in names:
        builder.add_node(name, make)
    for one, after in pairwise([START, *names, END]):
        builder.add_edge(one, after)
    graph = builder.compile()

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ClingingExecutor())
        await graph.ainvoke({"item": None})

    asyncio.run(run())

    assert alive == [0, 1, 1, 1, 1, 1]
