"""Playing a scenario: one engine begins a thread, another one ends it, both look at it.

A scenario's record is what its calls returned and what either engine reads of the thread after
each half. Two engines are interchangeable where the records do not depend on who played a half.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from differential.engines import Engine, engine
from differential.render import number, render
from savers.backends import DRIVERS, SyncRuns, new_thread

OURS: Final = "millstream"
THEIRS: Final = "langgraph"
DIRECTIONS: Final = ((THEIRS, OURS), (OURS, THEIRS))


@dataclass(slots=True)
class World:
    """What the nodes of a scenario know of the half they run in."""

    is_first: bool
    calls: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def say(self, name: str) -> Callable[[Any], dict[str, Any]]:
        """Return a node that logs its name, and for a Send what it was sent."""

        def node(state: Any) -> dict[str, Any]:
            told = name if "log" in state else f"{name}{state['x']}"
            self.calls[told] += 1
            return {"log": [told]}

        return node

    def fail_once_stored(self, siblings: int) -> Callable[[Any], dict[str, Any]]:
        """Return a node that fails in the first half, when its siblings' writes are being stored.

        `siblings` is how many times the saver was given writes by then.
        """

        def bad(state: Any) -> dict[str, Any]:
            self.calls["bad"] += 1
            if self.is_first:
                with self.changed:
                    assert self.changed.wait_for(lambda: self.stored >= siblings, timeout=20)
                raise ValueError("broken")
            return {"log": ["bad"]}

        return bad

    def note_stored(self, *args: Any) -> None:
        """Count a call of the saver's `put_writes`."""
        with self.changed:
            self.stored += 1
            self.changed.notify_all()


@dataclass(slots=True)
class Half:
    """One engine with a graph and the thread, on an open saver."""

    runs: SyncRuns
    graph: Any
    thread: dict[str, Any]

    @property
    def engine(self) -> Engine:
        """The modules of the engine that plays this half."""
        return self.runs.engine

    def answer(self, by_question: dict[Any, Any]) -> Any:
        """Return a Command that answers pending questions, found by what they ask."""
        asked = self.runs.get_state(self.graph, self.thread).interrupts
        ids = {question.value: question.id for question in asked}
        answers = {ids[question]: answer for question, answer in by_question.items()}
        return self.engine.types.Command(resume=answers)


Step: TypeAlias = Callable[[Half], Any]
"""One call on the thread; what it returns or raises goes into the record."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A graph, what is done with a thread of it before it changes hands, and what after."""

    name: str
    build: Callable[[Engine, World, Any], Any]
    """Return the compiled graph, given a saver."""
    first: tuple[Step, ...]
    second: tuple[Step, ...]
    is_history_shared: bool = True
    """Both engines show the same history: LangGraph's leaves out what a command led to."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenarios are played: a driver, and a kind of saver with its address."""

    driver: str
    kind: str
    address: str


def play(scenario: Scenario, first: str, second: str, stage: Stage) -> list[str]:
    """Return the record of a thread that the engine `first` begins and `second` ends."""
    thread = new_thread()
    lines = []
    for root, steps in ((first, scenario.first), (second, scenario.second)):
        world = World(is_first=steps is scenario.first)
        lines += _play_half(scenario, root, steps, world, stage, thread)
        seen = {reader: _read(scenario, reader, stage, thread) for reader in {first, second}}
        lines += seen[first] + seen[second]
    return number(lines)


def _play_half(
    scenario: Scenario,
    root: str,
    steps: tuple[Step, ...],
    world: World,
    stage: Stage,
    thread: dict[str, Any],
) -> list[str]:
    lines = []
    with DRIVERS[stage.driver](engine(root), stage.kind, stage.address) as runs:
        runs.watch(["put_writes"], world.note_stored)
        half = Half(runs, scenario.build(runs.engine, world, runs.saver), thread)
        for step in steps:
            try:
                outcome = render(_in_order(step(half)))
            except Exception as error:
                outcome = f"raised {render(error)}"
            lines.append(f"{'first' if world.is_first else 'second'}: {outcome}")
    calls = ", ".join(f"{name}={count}" for name, count in sorted(world.calls.items()))
    return [*lines, f"calls: {calls}"]


def _in_order(result: Any) -> Any:
    """Return a result whose questions do not tell which of parallel tasks asked first."""
    if isinstance(result, dict) and "__interrupt__" in result:
        questions = sorted(result["__interrupt__"], key=lambda asked: str(asked.value))
        return {**result, "__interrupt__": questions}
    return result


def _read(scenario: Scenario, root: str, stage: Stage, thread: dict[str, Any]) -> list[str]:
    with DRIVERS[stage.driver](engine(root), stage.kind, stage.address) as runs:
        graph = scenario.build(runs.engine, World(is_first=False), runs.saver)
        try:
            state = runs.get_state(graph, thread, subgraphs=True)
            history = runs.history(graph, thread)
        except Exception as error:
            return [f"unreadable: {render(error)}"]
    shown = history if scenario.is_history_shared else ()
    return [f"state: {render(state)}", *(f"history: {render(found)}" for found in shown)]
