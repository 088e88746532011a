"""A machine that writes down what it is told, and what it decides.

Each input is one record, written when the machine has taken it:

    run        the run, by an id of its own; nested graphs are runs too
    number     how many inputs of the run were before this one
    input      the method of `RunMachine` that was called, `open` for the first
    ...        what it was given, as `values` encodes it
    drawn      versions and stamps of checkpoints and ids of messages, in the order of drawing: they
               come from savers, clocks and random numbers
    answers    what is left of the answers that runs share, if others have taken of them
    decided    what the machine made of it; this is what a replay compares

What tasks own while they run is recorded when it becomes the machine's again: their writes with
`finish`, their questions with `pause`. A record is written even if the machine has refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from millstream._base import clock
from millstream.constants import TASKS
from millstream.core.answers import Answers
from millstream.core.machine import RunMachine
from millstream.core.pending_writes import ResumePoint
from millstream.stimuli.values import Json, digest, encode, encode_error

if TYPE_CHECKING:
    from millstream.core.calls import CallTask
    from millstream.core.checkpoints import Lineage, SaveCheckpoint
    from millstream.core.observer import Observer
    from millstream.core.protocol import RunLimits, Write
    from millstream.core.spec import GraphSpec, NodeSpec
    from millstream.core.tasks import Task

NOT_DATA: Final = ("stamp", "next_version", "deltas")
"""Fields of a `Lineage` that are recorded in another way."""


class Drain:
    """Whether the run is asked to stop, as it was when the machine was asked to plan."""

    drain_requested = False


class LoggingMachine(RunMachine):
    """A machine that gives each record to a function, as a line of JSON."""

    def __init__(
        self,
        write: Callable[[str], Any],
        graph: str,
        spec: GraphSpec,
        observer: Observer,
        limits: RunLimits,
        new_id: Callable[[], str],
        ns: str = "",
        lineage: Lineage | None = None,
        saved_values: Mapping[str, Any] | None = None,
        stored_writes: Iterable[tuple[str, str, Any]] = (),
        answers: Answers | None = None,
        message_id: Callable[[], str] = clock.random_id,
    ) -> None:
        self._write = write
        self._message_id = self._drawing(message_id)
        self._number = 0
        self._is_taking = False
        self._drawn: list[Json] = []
        self._drain, self._control = Drain(), limits.control
        self._answers = _answers_left(answers)
        self._known_save: SaveCheckpoint | None = None
        # Read here and by the machine, and what can be iterated over need not be so twice.
        stored = [*stored_writes]
        opened = {
            "graph": graph,
            "nodes": list(spec.nodes),
            "ns": ns,
            "limits": encode([limits.steps, limits.before, limits.after]),
            "lineage": _lineage(lineage),
            "saved_values": encode(saved_values),
            "stored_writes": encode(stored),
            "answers": self._answers,
        }
        if lineage is not None:
            lineage.stamp = self._drawing(lineage.stamp)
            lineage.next_version = self._drawing(lineage.next_version)
        # The run may be asked to stop at any time; the machine sees what is recorded of it.
        limits = replace(limits, control=self._drain)
        super().__init__(spec, observer, limits, new_id, ns, lineage, saved_values, stored, answers)
        # Drawn now, so that it makes no difference who asks for it first.
        self.recorded_as = self._checkpoint_id = new_id()
        self._put("open", opened, {"step": self.step})

    def begin(
        self, writes: Sequence[Write], *, is_entry: bool = False, is_newest: bool = False
    ) -> None:
        """Record what a run starts with."""
        facts = {"writes": encode(list(writes)), "is_entry": is_entry, "is_newest": is_newest}
        with self._taking("begin", facts) as decided:
            super().begin(writes, is_entry=is_entry, is_newest=is_newest)
            decided["updated"] = self._updated()

    def resume(
        self,
        writes: Sequence[Write] = (),
        *,
        answers: Answers | None = None,
        is_strict: bool = False,
        point: ResumePoint = ResumePoint.LATEST,
    ) -> None:
        """Record with what a run goes on."""
        facts = {
            "writes": encode(list(writes)),
            "given": _answers_left(answers),
            "is_strict": is_strict,
            "point": point.value,
        }
        with self._taking("resume", facts) as decided:
            super().resume(writes, answers=answers, is_strict=is_strict, point=point)
            decided["updated"] = self._updated()

    def plan(self) -> Sequence[Task] | None:
        """Record which tasks are to run."""
        control = self._control
        self._drain.drain_requested = control is not None and control.drain_requested
        with self._taking("plan", {"drain": self._drain.drain_requested}) as decided:
            tasks = super().plan()
            if tasks is not None:
                decided["tasks"] = list(map(_facts_of, self.tasks))
                decided["to_run"] = [task.id for task in tasks]
        return tasks

    def call(self, caller: Task, node: NodeSpec, value: Any, place: str = "") -> CallTask:
        """Record what a task calls."""
        facts = {"caller": caller.id, "node": node.name, "value": encode(value), "place": place}
        with self._taking("call", facts) as decided:
            task = super().call(caller, node, value, place)
            decided["task"] = {**_facts_of(task), "is_done": task.is_done}
        return task

    def finish(self, task: Task) -> None:
        """Record what a task wrote, in the form in which it has it."""
        written = {"update": encode(task.update), "listed": encode(task.listed)}
        with self._taking("finish", {"task": task.id, **written}):
            super().finish(task)

    def replay(self, task: Task, writes: Iterable[Write]) -> None:
        """Record what a task wrote that need not run."""
        writes = list(writes)
        with self._taking("replay", {"task": task.id, "writes": encode(writes)}):
            super().replay(task, writes)

    def fail(self, task: Task, error: BaseException) -> Task | None:
        """Record how a task failed."""
        with self._taking("fail", {"task": task.id, "error": encode_error(error)}) as decided:
            handler = super().fail(task, error)
            decided["handler"] = None if handler is None else _facts_of(handler)
        return handler

    def pause(self, task: Task, interrupts: Sequence[Any]) -> None:
        """Record what a task asked."""
        with self._taking("pause", {"task": task.id, "interrupts": encode([*interrupts])}):
            super().pause(task, interrupts)

    def commit(self) -> None:
        """Record what came of a superstep."""
        with self._taking("commit", {}) as decided:
            super().commit()
            decided["updated"] = self._updated()

    @contextmanager
    def _taking(self, received: str, facts: dict[str, Json]) -> Iterator[dict[str, Json]]:
        decided: dict[str, Json] = {}
        if self._is_taking:  # what the machine tells itself follows from what it was told
            yield decided
            return
        answers = _answers_left(self.answers)
        # Tasks of other runs may have taken some since the last input.
        if answers != self._answers:
            facts["answers"] = answers
        self._is_taking = True
        before = clock.message_ids.set(self._message_id)
        try:
            yield decided
        except BaseException as error:
            # By its class: texts may name objects, which are others next time.
            decided = {"raised": type(error).__qualname__}
            raise
        finally:
            self._is_taking = False
            clock.message_ids.reset(before)
            self._answers = _answers_left(self.answers)
            self._put(received, facts, {**decided, **self._standing()})

    def _standing(self) -> dict[str, Json]:
        """Return where the run stands."""
        standing: dict[str, Json] = {"status": self.status.value, "step": self.step}
        if self.failure is not None:
            standing["failed"] = self.failure.id
        if self.questions:
            standing["questions"] = [getattr(one, "id", None) for one in self.questions]
        if self.save is not None and self.save is not self._known_save:
            self._known_save = self.save
            standing["checkpoint"] = _facts_of_checkpoint(self.save)
        return standing

    def _updated(self) -> Json:
        """Return the channels that hold new values, with digests of what can be seen of them."""
        if self.updated is None:
            return None
        seen = {*self.cells.values, TASKS}
        return {
            name: digest(self.cells.get(name)) if name in seen else None
            for name in sorted(self.updated)
        }

    def _drawing(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        def draw_and_record(*given: Any) -> Any:
            drawn = draw(*given)
            self._drawn.append(encode(drawn))
            return drawn

        return draw_and_record

    def _put(self, received: str, facts: dict[str, Json], decided: dict[str, Json]) -> None:
        record = {"run": self.recorded_as, "number": self._number, "input": received, **facts}
        if self._drawn:
            record["drawn"], self._drawn = self._drawn, []
        record["decided"] = decided
        self._number += 1
        self._write(json.dumps(record))


def _facts_of(task: Task) -> Json:
    facts = {"id": task.id, "name": task.name, "path": task.path, "triggers": task.triggers}
    if task.answers is not None:
        facts["answers"] = list(map(digest, task.answers))
    return facts


def _facts_of_checkpoint(save: SaveCheckpoint) -> Json:
    checkpoint = save.checkpoint
    return encode(
        {
            "id": checkpoint["id"],
            "parent": save.parent_id,
            "metadata": save.metadata,
            "values": list(checkpoint["channel_values"]),
            "versions": checkpoint["channel_versions"],
            "seen": {name: dict(seen) for name, seen in checkpoint["versions_seen"].items()},
            "new": save.new_versions,
        }
    )


def _lineage(lineage: Lineage | None) -> Json:
    if lineage is None:
        return None
    known = {f.name: encode(getattr(lineage, f.name)) for f in _fields(lineage)}
    deltas = lineage.deltas
    known["deltas"] = deltas and {f.name: encode(getattr(deltas, f.name)) for f in fields(deltas)}
    return known


def _fields(lineage: Lineage) -> list[Any]:
    return [field for field in fields(lineage) if field.name not in NOT_DATA]


def _answers_left(answers: Answers | None) -> Json:
    if answers is None:
        return None
    return {name: encode(getattr(answers, name)) for name in Answers.__slots__}
