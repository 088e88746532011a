"""A graph without a builder and a run without a driver: what the core's tests are made of."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from millstream.channels import BaseChannel, BinaryOperatorAggregate, EphemeralValue, Topic
from millstream.constants import TASKS
from millstream.core.checkpoints import Lineage, SaveCheckpoint
from millstream.core.machine import RunMachine
from millstream.core.observer import Observer
from millstream.core.protocol import RunLimits, Write
from millstream.core.spec import GraphSpec, NodeSpec
from millstream.core.tasks import Task

Channels: TypeAlias = Mapping[str, BaseChannel[Any, Any, Any]]
Fact: TypeAlias = tuple[str, Any]

FIRST_ID: Final = f"{0:032x}"
"""The id of every run's first checkpoint when nothing is saved."""


@dataclass(frozen=True, slots=True)
class Fails:
    """What a task does that raises."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Asks:
    """What a task does that interrupts; without questions, a nested run hit a breakpoint."""

    questions: tuple[Any, ...] = ()


Outcome: TypeAlias = Sequence[Write] | Fails | Asks
Behaviour: TypeAlias = Callable[[Task], Outcome]
Order: TypeAlias = Callable[[Sequence[Task]], Iterable[Task]]


def log() -> BinaryOperatorAggregate[list[Any]]:
    """Return a channel that shows in which order it was written."""
    return BinaryOperatorAggregate(list, operator.add)


def node(name: str, *triggers: str, **options: Any) -> NodeSpec:
    """Return a node that reads the whole state, triggered by `to:<name>` unless told otherwise."""
    options.setdefault("read", lambda state, _: state.values.copy())
    return NodeSpec(name=name, triggers=tuple(sorted(triggers or (f"to:{name}",))), **options)


def graph(
    nodes: Iterable[NodeSpec],
    channels: Channels | None = None,
    *,
    shown: Sequence[str] | None = None,
    has_signals: bool = True,
) -> GraphSpec:
    """Return a compiled graph; triggers that are no channel are signals, or live as long."""
    nodes, declared = list(nodes), dict(channels or {})
    state = tuple(declared) if shown is None else tuple(shown)
    signals = {t for one in nodes for t in one.triggers if t not in declared}
    declared.update((name, EphemeralValue(Any, guard=False)) for name in sorted(signals))
    declared.setdefault(TASKS, Topic(Any))
    for name, channel in declared.items():
        channel.key = name
    return GraphSpec(
        nodes={one.name: one for one in nodes},
        channels=declared,
        shown={name: index for index, name in enumerate(state)},
        output_keys=state,
        stream_keys=state,
        signals=frozenset(signals if has_signals else ()),
    )


def new_lineage(saved: SaveCheckpoint | None = None, **options: Any) -> Lineage:
    """Return a chain of checkpoints whose ids and versions count up."""
    lineage = Lineage(
        stamp=lambda step: (f"{step + 2:032x}", f"time of {step}"),
        next_version=lambda current: (current or 0) + 1,
        parents=options.pop("parents", {}),
        **options,
    )
    if saved is not None:
        lineage.load(saved.checkpoint, saved.metadata)
    return lineage


def new_machine(
    spec: GraphSpec,
    observer: Observer | None = None,
    *,
    saved: SaveCheckpoint | None = None,
    steps: int = 25,
    limits: Mapping[str, Any] | None = None,
    **options: Any,
) -> RunMachine:
    """Return a machine, loaded from a checkpoint if there is one."""
    if saved is not None:
        options.setdefault("lineage", new_lineage(saved))
        options["saved_values"] = saved.checkpoint["channel_values"]
    return RunMachine(
        spec,
        Observer() if observer is None else observer,
        RunLimits(steps, **(limits or {})),
        new_id=lambda: FIRST_ID,
        **options,
    )


def begun(spec: GraphSpec, *writes: Write, **options: Any) -> RunMachine:
    """Return a machine that was given its input."""
    machine = new_machine(spec, **options)
    machine.begin(writes)
    return machine


def doing(**outcomes: Outcome) -> Behaviour:
    """Return the behaviour of tasks that do the same each time, by node; others write nothing."""
    return lambda task: outcomes.get(task.name, ())


def perform(machine: RunMachine, task: Task, behave: Behaviour) -> None:
    """Report how the task ended, then how its handler did."""
    outcome = behave(task)
    if isinstance(outcome, Fails):
        handler = machine.fail(task, outcome.error)
        if handler is not None:
            perform(machine, handler, behave)
    elif isinstance(outcome, Asks):
        machine.pause(task, outcome.questions)
    else:
        task.writes = list(outcome)
        machine.finish(task)


def run(
    machine: RunMachine,
    behave: Behaviour,
    *,
    order: Order = lambda tasks: tasks,
    committed: Callable[[RunMachine], None] = lambda machine: None,
) -> None:
    """Run superstep after superstep to the end; the tasks of one finish in the given order."""
    while (tasks := machine.plan()) is not None:
        for task in order(tasks):
            perform(machine, task, behave)
        machine.commit()
        committed(machine)


def to(*targets: str) -> list[Write]:
    """Return the writes that trigger these nodes."""
    return [(f"to:{name}", None) for name in targets]


def planned(machine: RunMachine) -> Sequence[Task]:
    """Return the tasks of the next superstep, which there must be."""
    tasks = machine.plan()
    assert tasks is not None
    return tasks


def names(tasks: Iterable[Task] | None) -> list[str] | None:
    """Return the names of the tasks."""
    return None if tasks is None else [task.name for task in tasks]


def recording() -> tuple[Observer, list[Fact]]:
    """Return an observer and the list to which it adds every fact."""
    facts: list[Fact] = []

    def noting(fact: str, shrink: Callable[[Any], Any]) -> Callable[[Any], None]:
        return lambda seen: facts.append((fact, shrink(seen)))

    observer = Observer(
        checkpoint_reached=noting("checkpoint_reached", names),
        tasks_planned=noting("tasks_planned", names),
        task_finished=noting("task_finished", lambda task: task.name),
        task_replayed=noting("task_replayed", lambda task: task.name),
        task_failed=noting("task_failed", lambda task: (task.name, task.error)),
        task_paused=noting("task_paused", lambda task: (task.name, task.interrupts)),
        state_changed=noting("state_changed", lambda new: None if new is None else sorted(new)),
        breakpoint_reached=lambda: facts.append(("breakpoint_reached", None)),
    )
    return observer, facts
