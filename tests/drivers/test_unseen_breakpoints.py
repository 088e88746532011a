"""A breakpoint is passed by whoever goes on from where a run has stopped, and by nobody else."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph as LangGraphStateGraph
from typing_extensions import TypedDict

from millstream.errors import GraphRecursionError
from millstream.graph import START, StateGraph

THREAD: Any = {"configurable": {"thread_id": "1"}}
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])
STOPS = pytest.mark.parametrize(
    "stops", [{"interrupt_before": ["second"]}, {"interrupt_after": ["first"]}], ids=str
)
NESTED = pytest.mark.parametrize("is_nested", [False, True], ids=["root", "nested"])


class State(TypedDict):
    x: int


class Killed(InMemorySaver):
    """A saver that keeps what a process leaves that is killed after each thing it has stored."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[InMemorySaver] = []

    def put(self, *args: Any) -> Any:
        config = super().put(*args)
        self._keep()
        return config

    def put_writes(self, *args: Any) -> None:
        super().put_writes(*args)
        self._keep()

    def _keep(self) -> None:
        left = InMemorySaver()
        for name in ("storage", "writes", "blobs"):
            getattr(left, name).update(copy.deepcopy(getattr(self, name)))
        self.moments.append(left)


def graph_of(saver: Any, ran: list[str], *, is_nested: bool, **stops: Any) -> Any:
    """Return a graph with a node that a person is to look at before it runs."""

    def first(state: State) -> State:
        return {"x": 1}

    def second(state: State) -> State:
        ran.append("second")
        return {"x": 2}

    builder = StateGraph(State).add_node(first).add_node(second)
    builder.add_edge(START, "first").add_edge("first", "second")
    if not is_nested:
        return builder.compile(checkpointer=saver, **stops)
    inner = builder.compile(**stops)
    outer = StateGraph(State).add_node("inner", inner).add_edge(START, "inner")
    return outer.compile(checkpointer=saver)


def stops_once(driver: Any, graph: Any, ran: list[str]) -> None:
    """Fail unless the next call stops at the breakpoint, and the one after it goes on."""
    is_known = bool(graph.get_state(THREAD).next)
    driver.invoke(graph, None if is_known else {"x": 0}, THREAD)
    assert ran == []
    assert graph.get_state(THREAD).next
    assert driver.invoke(graph, None, THREAD) == {"x": 2}
    assert ran == ["second"]


@DURABILITIES
@STOPS
@NESTED
def test_a_process_that_was_killed_has_shown_nobody_the_breakpoint(
    driver: Any, durability: Any, stops: dict[str, Any], is_nested: bool
) -> None:
    ran: list[str] = []
    saver = Killed()
    graph = graph_of(saver, ran, is_nested=is_nested, **stops)
    driver.invoke(graph, {"x": 0}, THREAD, durability=durability)
    assert (ran, len(saver.moments) > 1) == ([], True)

    *moments, stopped = saver.moments
    for left in moments:
        ran.clear()
        stops_once(driver, graph.copy({"checkpointer": left}), ran)

    ran.clear()
    assert driver.invoke(graph.copy({"checkpointer": stopped}), None, THREAD) == {"x": 2}


@DURABILITIES
@STOPS
def test_a_process_that_is_killed_beyond_the_breakpoint_has_passed_it(
    driver: Any, durability: Any, stops: dict[str, Any]
) -> None:
    ran: list[str] = []
    saver = Killed()
    graph = graph_of(saver, ran, is_nested=False, **stops)
    driver.invoke(graph, {"x": 0}, THREAD, durability=durability)
    saver.moments.clear()
    driver.invoke(graph, None, THREAD, durability=durability)

    for left in saver.moments:
        assert driver.invoke(graph.copy({"checkpointer": left}), None, THREAD) == {"x": 2}


@STOPS
@DURABILITIES
def test_a_run_that_ends_just_before_the_breakpoint_has_shown_it_to_nobody(
    driver: Any, durability: Any, stops: dict[str, Any]
) -> None:
    """By its recursion limit, or because its reader leaves."""

    def leave(graph: Any) -> None:
        for item in graph.stream({"x": 0}, THREAD, stream_mode="updates", durability=durability):
            assert item == {"first": {"x": 1}}
            return

    async def aleave(graph: Any) -> None:
        stream = graph.astream({"x": 0}, THREAD, stream_mode="updates", durability=durability)
        async for item in stream:
            assert item == {"first": {"x": 1}}
            break
        await stream.aclose()

    def exhaust(graph: Any) -> None:
        if "interrupt_after" in stops:
            return  # it stops there, whatever its limit
        with pytest.raises(GraphRecursionError):
            driver.invoke(graph, {"x": 0}, {**THREAD, "recursion_limit": 1}, durability=durability)

    ways: list[Callable[[Any], Any]] = [exhaust]
    ways.append(leave if driver.name == "sync" else lambda graph: asyncio.run(aleave(graph)))
    for end in ways:
        ran: list[str] = []
        graph = graph_of(InMemorySaver(), ran, is_nested=False, **stops)
        end(graph)
        if graph.get_state(THREAD).next:
            stops_once(driver, graph, ran)


def test_a_thread_that_others_have_stopped_goes_on(driver: Any) -> None:
    """LangGraph stores nothing of a stop, and neither did versions before this was known."""
    ran: list[str] = []
    saver = InMemorySaver()
    theirs = LangGraphStateGraph(State)
    theirs.add_node("first", lambda state: {"x": 1}).add_node("second", lambda state: {"x": 2})
    theirs.add_edge(START, "first").add_edge("first", "second")
    theirs.compile(checkpointer=saver, interrupt_before=["second"]).invoke({"x": 0}, THREAD)

    graph = graph_of(saver, ran, is_nested=False, interrupt_before=["second"])

    assert driver.invoke(graph, None, THREAD) == {"x": 2}


def test_langgraph_goes_on_from_where_a_run_has_stopped(driver: Any) -> None:
    saver = InMemorySaver()
    graph = graph_of(saver, [], is_nested=False, interrupt_before=["second"])
    driver.invoke(graph, {"x": 0}, THREAD)

    theirs = LangGraphStateGraph(State)
    theirs.add_node("first", lambda state: {"x": 1}).add_node("second", lambda state: {"x": 3})
    theirs.add_edge(START, "first").add_edge("first", "second")
    there = theirs.compile(checkpointer=saver, interrupt_before=["second"])

    assert there.get_state(THREAD).next == ("second",)
    assert there.invoke(None, THREAD) == {"x": 3}


def test_an_update_after_the_stop_is_gone_on_from(driver: Any) -> None:
    ran: list[str] = []
    graph = graph_of(InMemorySaver(), ran, is_nested=False, interrupt_before=["second"])
    driver.invoke(graph, {"x": 0}, THREAD)

    graph.update_state(THREAD, {"x": 5})

    assert driver.invoke(graph, None, THREAD) == {"x": 2}


@pytest.mark.parametrize("is_newest", [True, False])
def test_a_checkpoint_that_is_named_is_gone_on_from(driver: Any, is_newest: bool) -> None:
    ran: list[str] = []
    graph = graph_of(InMemorySaver(), ran, is_nested=False, interrupt_before=["second"])
    driver.invoke(graph, {"x": 0}, THREAD)
    stopped = graph.get_state(THREAD).config
    if not is_newest:
        driver.invoke(graph, None, THREAD)

    assert driver.invoke(graph, None, stopped) == {"x": 2}
