"""A thread that goes on where the clock is behind: no checkpoint gets lost among older ones."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from differential.kit import Log, say, wire
from millstream._base.clock import Clock, given
from savers.backends import SyncRuns, new_thread

HOUR = 3600 * 10**9
GREGORIAN = 0x01B21DD213814000


class Machine(Clock):
    """Makes ids as one process does: each above its last one, by its own clock."""

    def __init__(self) -> None:
        self.behind = 0
        self._tick = 0

    def new_id(self, step: int = -2) -> str:
        tick = (time.time_ns() - self.behind) // 100 + GREGORIAN
        self._tick = tick = max(tick, self._tick + 1)
        order = tick >> 12 << 16 | 6 << 12 | tick & 0xFFF
        return str(uuid.UUID(int=order << 64 | uuid.uuid4().int & (1 << 64) - 1))

    def fall_behind(self) -> None:
        """Be another machine from now on, whose clock is an hour back."""
        self.behind, self._tick = self.behind + HOUR, 0


@pytest.fixture
def machine() -> Iterator[Machine]:
    with given(machine := Machine()):
        yield machine


DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


def ids(snapshots: list[Any]) -> list[str]:
    return [found.config["configurable"]["checkpoint_id"] for found in snapshots]


def chain(runs: SyncRuns, **options: Any) -> Any:
    builder = wire(runs.engine, Log, "START a b END", a=..., b=...)
    return builder.compile(checkpointer=runs.saver, **options)


@DURABILITIES
def test_no_turn_is_lost(runs: SyncRuns, machine: Machine, durability: str) -> None:
    graph, thread = chain(runs), new_thread()

    for turn in range(3):
        runs.invoke(graph, {"x": turn}, thread, durability=durability)
        machine.fall_behind()

    history = runs.history(graph, thread)
    assert runs.get_state(graph, thread).values == {"x": 2, "log": ["a", "b"] * 3}
    assert ids(history) == sorted(ids(history), reverse=True)
    assert all(
        found.parent_config is None
        or found.parent_config["configurable"]["checkpoint_id"]
        < found.config["configurable"]["checkpoint_id"]
        for found in history
    )


def test_an_answer_is_not_lost(runs: SyncRuns, machine: Machine) -> None:
    def ask(state: Any) -> Any:
        return {"log": [runs.engine.types.interrupt("?")]}

    inner = wire(runs.engine, Log, "START i ask j END", i=say("i"), ask=ask, j=say("j"))
    outer = wire(runs.engine, Log, "START sub END", sub=inner.compile())
    graph, thread = outer.compile(checkpointer=runs.saver), new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    machine.fall_behind()

    result = runs.invoke(graph, runs.engine.types.Command(resume="yes"), thread)

    assert result["log"] == ["i", "yes", "j"]
    assert runs.get_state(graph, thread).values == result


def test_an_update_is_not_lost(runs: SyncRuns, machine: Machine) -> None:
    graph, thread = chain(runs), new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    machine.fall_behind()
    update = runs.engine.types.StateUpdate

    runs.update_state(graph, thread, {"log": ["me"]}, as_node="a")
    machine.fall_behind()
    runs.bulk_update_state(
        graph, thread, [[update({"log": ["A"]}, "a")], [update({"log": ["B"]}, "a")]]
    )
    machine.fall_behind()
    runs.update_state(graph, thread, None, as_node="__copy__")

    assert runs.get_state(graph, thread).values["log"] == ["a", "b", "me", "A", "B"]
    assert runs.get_state(graph, thread).metadata["source"] == "fork"
    assert runs.get_state(graph, thread).next == ("b",)


@pytest.mark.parametrize("how", ["run", "input", "update", "copy"])
def test_a_branch_is_where_the_thread_goes_on(runs: SyncRuns, machine: Machine, how: str) -> None:
    graph, thread = chain(runs), new_thread()
    runs.invoke(graph, {"x": 1}, thread)
    past = next(s for s in runs.history(graph, thread) if s.next == ("b",)).config
    runs.invoke(graph, {"x": 2}, thread)
    machine.fall_behind()

    if how == "run":
        runs.invoke(graph, None, past)
    elif how == "input":
        runs.invoke(graph, {"x": 1}, past)
    elif how == "update":
        runs.update_state(graph, past, {"log": ["me"]}, as_node="b")
    else:
        runs.update_state(graph, past, None, as_node="__copy__")

    state = runs.get_state(graph, thread)
    logs = {"run": ["a", "b"], "input": ["a", "a", "b"], "update": ["a", "me"], "copy": ["a"]}
    assert (state.values["x"], state.values["log"]) == (1, logs[how])


def test_a_graph_that_keeps_its_state_is_found_as_it_was(runs: SyncRuns, machine: Machine) -> None:
    """A run from the past shows nested graphs what they held before it."""
    inner = wire(runs.engine, Log, "START i END", i=...)
    seen: list[Any] = []

    def see(state: Any) -> None:
        seen.append(state["log"])

    inner.add_node("see", see).add_edge("i", "see")
    kept = inner.compile(checkpointer=True)

    def call(state: Any) -> Any:
        kept.invoke({"x": 1})

    outer = wire(runs.engine, Log, "START call END", call=call)
    graph, thread = outer.compile(checkpointer=runs.saver), new_thread()
    for _ in range(3):
        runs.invoke(graph, {"x": 1}, thread)
        machine.fall_behind()
    second = [s for s in runs.history(graph, thread) if s.next == ("call",)][1].config

    runs.invoke(graph, None, second)

    assert [len(log) for log in seen] == [1, 2, 3, 2]
