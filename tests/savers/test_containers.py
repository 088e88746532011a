"""Containers that serializers take for plain ones come back as what they are."""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import StateGraph as LangGraphStateGraph
from typing_extensions import TypedDict

from differential.kit import wire
from millstream.containers import is_special
from millstream.graph import START, StateGraph
from millstream.types import Command, Send, interrupt
from millstream.wire import WireSerializer
from savers.backends import SyncRuns, new_thread


@dataclasses.dataclass
class Box:
    """Holds anything."""

    content: Any


class State(TypedDict, total=False):
    """One of each."""

    counts: Any
    recent: Any
    others: Any


def given() -> Any:
    """Return a state with one of each."""
    return {
        "counts": Counter("aab"),
        "recent": deque([1, 2], maxlen=3),
        "others": [{"by": defaultdict(list, a=[1])}, Box(OrderedDict(b=1, a=2))],
    }


def kinds(state: Any) -> list[Any]:
    """Return what there is to be kept."""
    others = state["others"]
    return [
        type(state["counts"]),
        state["recent"].maxlen,
        others[0]["by"].default_factory,
        type(others[1].content),
    ]


KEPT = [Counter, 3, list, OrderedDict]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("place", ["input", "node"])
def test_what_they_are_is_kept(runs: SyncRuns, durability: str, place: str) -> None:
    def ask(state: Any) -> Any:
        seen.append(kinds(state))
        interrupt("?")
        return {}

    def write(state: Any) -> Any:
        return given() if place == "node" else {}

    seen: list[Any] = []
    graph = wire(runs.engine, State, "START write ask END", write=write, ask=ask).compile(
        checkpointer=runs.saver
    )
    thread = new_thread()

    runs.invoke(
        graph, given() if place == "input" else {"counts": 1}, thread, durability=durability
    )
    assert runs.get_state(graph, thread).values == given()
    result = runs.invoke(graph, runs.engine.types.Command(resume=1), thread, durability=durability)

    assert seen == [KEPT, KEPT]
    assert kinds(result) == KEPT
    assert kinds(runs.get_state(graph, thread).values) == KEPT
    runs.update_state(graph, thread, {"counts": Counter("c")}, as_node="write")
    assert kinds(runs.get_state(graph, thread).values) == KEPT
    assert runs.get_state(graph, thread).values["counts"] == Counter("c")


def test_langgraph_reads_them() -> None:
    saver = InMemorySaver()
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph = StateGraph(State).add_node("a", lambda state: given()).add_edge(START, "a")
    graph.compile(checkpointer=saver).invoke({}, thread)

    builder = LangGraphStateGraph(State).add_node("a", lambda state: given())
    there = builder.add_edge(START, "a").compile(checkpointer=saver)

    assert there.get_state(thread).values == given()
    assert kinds(there.get_state(thread).values) == KEPT


def test_a_strict_serializer_reads_plain_containers() -> None:
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    serializer = WireSerializer(strict)
    serializer.keeps_containers = True

    read = strict.loads_typed(serializer.dumps_typed({**given(), "others": given()["others"][:1]}))

    assert read == {
        "counts": {"a": 2, "b": 1},
        "recent": deque([1, 2]),
        "others": [{"by": {"a": [1]}}],
    }
    assert read["recent"].maxlen == 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, False),
        ([1, {"a": ("b",)}], False),
        (deque([1]), False),
        (Send("a", Counter()), True),
        (Command(update={"a": [Counter()]}), True),
        ([{"a": ({}, OrderedDict())}], True),
    ],
)
def test_they_are_found(value: Any, expected: bool) -> None:
    looked: Callable[[Any], bool] = is_special
    assert looked(value) is expected
