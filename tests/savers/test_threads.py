"""A thread is continued from what its saver has."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from differential.kit import Log, say, wire
from savers.backends import SyncRuns, new_thread


def test_the_next_call_continues_the_thread(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START a b END", a=..., b=...).compile(checkpointer=runs.saver)
    thread = new_thread()

    results = [runs.invoke(graph, {"x": x}, thread) for x in (1, 2)]

    assert results == [{"x": 1, "log": ["a", "b"]}, {"x": 2, "log": ["a", "b", "a", "b"]}]


def test_a_thread_is_continued_over_a_new_connection(runs: SyncRuns) -> None:
    builder = wire(runs.engine, Log, "START a END", a=...)
    thread = new_thread()

    runs.invoke(builder.compile(checkpointer=runs.saver), {"x": 1}, thread)
    runs.close()
    runs.open()
    result = runs.invoke(builder.compile(checkpointer=runs.saver), {"x": 2}, thread)

    assert result == {"x": 2, "log": ["a", "a"]}


def test_threads_know_nothing_of_each_other(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START a END", a=...).compile(checkpointer=runs.saver)

    results = [runs.invoke(graph, {"x": x}, new_thread()) for x in (1, 2)]

    assert results == [{"x": 1, "log": ["a"]}, {"x": 2, "log": ["a"]}]


def test_values_come_back_as_they_were(runs: SyncRuns) -> None:
    values = [
        None,
        {"deep": [1, {"s": []}]},
        {1, 2},
        b"\x00\xff",
        datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc),
        decimal.Decimal("1.10"),
        uuid.UUID(int=7),
        HumanMessage("hello", id="1"),
        AIMessage("", id="2", tool_calls=[{"name": "t", "args": {"n": 1}, "id": "c"}]),
    ]
    seen: list[Any] = []

    def look(state: Any) -> None:
        seen[:] = state["log"]

    graph = wire(runs.engine, Log, "START look END", look=look).compile(checkpointer=runs.saver)
    thread = new_thread()

    runs.invoke(graph, {"log": values}, thread)
    result = runs.invoke(graph, {"x": 1}, thread)

    assert seen == values
    assert result == {"x": 1, "log": values}


@pytest.mark.parametrize("config", [{}, {"configurable": {"user": "u"}}])
def test_a_call_without_a_thread_is_refused(runs: SyncRuns, config: dict[str, Any]) -> None:
    ran: list[str] = []
    graph = wire(runs.engine, Log, "START a END", a=lambda state: ran.append("a")).compile(
        checkpointer=runs.saver
    )

    with pytest.raises((ValueError, KeyError), match="thread_id"):
        runs.invoke(graph, {"x": 1}, config)

    assert ran == []


def test_nothing_to_continue_is_an_error_and_stores_nothing(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START a END", a=...).compile(checkpointer=runs.saver)
    thread = new_thread()

    with pytest.raises(runs.engine.errors.EmptyInputError):
        runs.invoke(graph, None, thread)

    assert runs.stored(thread) == []


def test_a_finished_thread_has_nothing_left_to_run(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START a END", a=...).compile(checkpointer=runs.saver)
    thread = new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    before = [found.checkpoint for found in runs.stored(thread)]

    items = runs.stream(graph, None, thread, stream_mode="updates")

    assert items == []
    assert [found.checkpoint for found in runs.stored(thread)] == before


def test_a_nested_graph_is_saved_in_the_thread_of_its_parent(runs: SyncRuns) -> None:
    inner = wire(runs.engine, Log, "START i j END", i=say("i"), j=say("j"))
    outer = wire(runs.engine, Log, "START sub END", sub=inner.compile())
    graph = outer.compile(checkpointer=runs.saver)
    thread = new_thread()

    result = runs.invoke(graph, {"x": 1}, thread)

    spaces = {s.config["configurable"]["checkpoint_ns"].split(":")[0] for s in runs.stored(thread)}
    assert result == {"x": 1, "log": ["i", "j"]}
    assert spaces == {"", "sub"}
