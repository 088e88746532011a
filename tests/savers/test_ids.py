"""Threads and checkpoints whose ids a program gives as something else than text."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from differential.kit import Log, say, wire
from savers.backends import SyncRuns


class Named(str, enum.Enum):
    """A thread whose name is a constant of the program."""

    THREAD = "the-thread"


def number() -> int:
    return uuid.uuid4().int % 10**12


IDS = pytest.mark.parametrize("new_id", [number, uuid.uuid4], ids=["number", "uuid"])


def at(thread_id: Any, **configurable: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread_id, **configurable}}


def asking(runs: SyncRuns, called: list[str]) -> Any:
    """Return a graph that runs a node, then a nested graph that asks."""

    def first(state: Any) -> Any:
        called.append("first")
        return {"log": ["first"]}

    def ask(state: Any) -> Any:
        return {"log": [runs.engine.types.interrupt("?")]}

    inner = wire(runs.engine, Log, "START ask END", ask=ask).compile()
    outer = wire(runs.engine, Log, "START first inner END", first=first, inner=inner)
    return outer.compile(checkpointer=runs.saver)


@IDS
def test_it_is_one_thread_wherever_it_is_named(runs: SyncRuns, new_id: Callable[[], Any]) -> None:
    called: list[str] = []
    graph = asking(runs, called)
    id = new_id()
    thread = at(id)

    runs.invoke(graph, {"x": 1}, thread)
    state = runs.get_state(graph, thread, subgraphs=True)
    runs.update_state(graph, thread, {"log": ["me"]}, as_node="first")
    runs.invoke(graph, None, thread)
    result = runs.invoke(graph, runs.engine.types.Command(resume="answer"), thread)

    assert (state.next, state.tasks[0].state.next) == (("inner",), ("ask",))
    assert result["log"][:2] == ["first", "me"]
    assert result["log"][-1] == "answer"
    assert called == ["first"]
    assert thread == at(id)


@IDS
def test_its_text_names_the_same_thread(runs: SyncRuns, new_id: Callable[[], Any]) -> None:
    called: list[str] = []
    graph = asking(runs, called)
    id = new_id()
    runs.invoke(graph, {"x": 1}, at(id))

    state = runs.get_state(graph, at(str(id)))
    result = runs.invoke(graph, runs.engine.types.Command(resume="answer"), at(str(id)))

    assert state.next == ("inner",)
    assert (result["log"][-1], called) == ("answer", ["first"])
    assert len(runs.history(graph, at(id))) == len(runs.history(graph, at(str(id))))
    assert len(runs.stored(at(str(id)))) > len(runs.history(graph, at(id))) > 0


def test_a_name_that_is_an_enum_is_its_text(runs: SyncRuns) -> None:
    graph = asking(runs, [])

    runs.invoke(graph, {"x": 1}, at(Named.THREAD))

    assert runs.get_state(graph, at("the-thread")).next == ("inner",)
    assert runs.get_state(graph, at(Named.THREAD)).next == ("inner",)


def test_a_checkpoint_may_be_named_by_a_uuid(runs: SyncRuns) -> None:
    graph = wire(runs.engine, Log, "START a b END", a=..., b=...)
    graph = graph.compile(checkpointer=runs.saver)
    id = uuid.uuid4()
    runs.invoke(graph, {"x": 1}, at(id))
    past = next(s for s in runs.history(graph, at(id)) if s.next == ("b",))
    named = at(id, checkpoint_id=uuid.UUID(past.config["configurable"]["checkpoint_id"]))

    older = runs.history(graph, at(id), before=named)
    changed = runs.update_state(graph, named, {"log": ["me"]}, as_node="a")

    assert runs.get_state(graph, named).values == {"x": 1, "log": ["a"]}
    assert [s.next for s in older] == [("a",), ("__start__",)]
    assert runs.get_state(graph, changed).parent_config == past.config
    assert runs.invoke(graph, None, named) == {"x": 1, "log": ["a", "b"]}
    assert runs.invoke(graph, {"log": ["more"]}, named)["log"] == ["a", "more", "a", "b"]


def test_a_graph_called_on_its_own_thread_is_nested_however_it_is_named(runs: SyncRuns) -> None:
    id = number()
    inner = wire(runs.engine, Log, "START i END", i=say("i")).compile()

    def call(state: Any) -> Any:
        return inner.invoke({"x": 1}, at(str(id)))

    outer = wire(runs.engine, Log, "START call END", call=call).compile(checkpointer=runs.saver)

    runs.invoke(outer, {"x": 1}, at(id))

    spaces = {
        s.config["configurable"]["checkpoint_ns"].split(":")[0] for s in runs.stored(at(str(id)))
    }
    assert spaces == {"", "call"}
