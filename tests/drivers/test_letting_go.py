"""A run that has ended keeps nothing alive, without the help of the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph


class Item:
    """A value that can be watched."""


class State(TypedDict, total=False):
    item: Item


Watched = list["weakref.ref[Item]"]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Switch the collector off, so that what only it would free stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


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
