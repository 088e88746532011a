"""What a loaded checkpoint knows of its superstep: the writes that were stored next to it.

They say which tasks of the superstep had finished, which had failed or asked, what they were
answered, and what commands had written to the state before the run stopped again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from millstream._types.interrupts import interrupt_id
from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    MISSING,
    NULL_TASK_ID,
    RESUME,
)
from millstream.core.strands import (
    TOGETHER,
    put_answer,
    read_questions,
    read_together,
    record_id,
)

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.types import Interrupt

UNFINISHED: Final = frozenset((ERROR, ERROR_SOURCE_NODE, INTERRUPT, RESUME))
"""Stored of tasks that have not finished."""

NO_MORE: Final[Mapping[str, Any]] = MappingProxyType({})

PendingWrites = dict[str, "list[Write]"]
"""Task id -> what is stored of it."""


class ResumePoint(Enum):
    """Where in its thread a run goes on."""

    LATEST = "latest"
    """Wherever the thread is."""
    NAMED = "named"
    """At a checkpoint that was named, and is the thread's newest."""
    PAST = "past"
    """At a checkpoint that was named, and that the thread has moved past."""


def sort_by_task(writes: Iterable[tuple[str, str, Any]]) -> PendingWrites:
    """Sort stored writes, `(task id, channel, value)`, by task."""
    pending: PendingWrites = {}
    for task_id, channel, value in writes:
        pending.setdefault(task_id, []).append((channel, value))
    return pending


def plain_writes(writes: Sequence[Write]) -> list[Write]:
    """Return what a task wrote that had finished; empty for any other."""
    return [write for write in writes if write[0] not in UNFINISHED]


def recorded_answers(writes: Sequence[Write], later: Mapping[str, Any] = NO_MORE) -> list[Any]:
    """Return what the task's questions were answered, by number.

    `later` are those after a question that has no answer, which is `MISSING`.
    """
    answers: list[Any] = []
    for channel, value in writes:
        if channel == RESUME:
            # Stored by position, as LangGraph does, so what is there without gaps is read by both.
            # The rest is in a record of its own.
            answers = list(value) if isinstance(value, list) else [value]
            break
    for number, answer in later.items():
        put_answer(answers, int(number), answer)
    return answers


def handled_error(writes: Sequence[Write]) -> Exception | None:
    """Return the error of a task whose handler was to run, None for any other task.

    What is stored of an error is its text, unless the saver can do better.
    """
    # Both, or the task failed in a graph that had no handler for it.
    notes = dict(writes)
    if ERROR_SOURCE_NODE not in notes or ERROR not in notes:
        return None
    error = notes[ERROR]
    return error if isinstance(error, Exception) else Exception(error)


def take_commands(pending: PendingWrites) -> list[Write]:
    """Take out what commands wrote to the state.

    A bare answer that is stored with them is spent or was given to nobody: the question is asked
    again rather than answered with something that may have been meant for another.
    """
    return plain_writes(pending.pop(NULL_TASK_ID, ()))


def without_answers(pending: PendingWrites) -> PendingWrites:
    """Return the same without what questions were answered."""
    return {id: [w for w in writes if w[0] != RESUME] for id, writes in pending.items()}


def has_failed(writes: Sequence[Write]) -> bool:
    """Say whether a task ended with an error."""
    return any(channel == ERROR for channel, _ in writes)


def questions_asked(writes: Sequence[Write]) -> list[Interrupt[Any]]:
    """Return the questions a task asked last, if it has not finished."""
    return [] if plain_writes(writes) else _interrupts(writes)


def _interrupts(writes: Sequence[Write]) -> list[Interrupt[Any]]:
    return [i for name, value in writes if name == INTERRUPT for i in as_tuple(value)]


def waiting_questions(pending: PendingWrites, spaces: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the questions nobody has answered, by id, with the ids of the tasks they wait in.

    `spaces` are the namespaces of the superstep's tasks, by task id.
    """
    waiting: dict[str, set[str]] = {}
    for task_id, writes in pending.items():
        answered: set[str] = set()
        if task_id in spaces:
            answers = answers_of(pending, task_id)
            answered = {
                interrupt_id(spaces[task_id], number)
                for number, answer in enumerate(answers)
                if answer is not MISSING
            }
        for question in questions_asked(writes):
            if question.id not in answered:
                waiting.setdefault(question.id, set()).add(task_id)
    return waiting


def past_questions(pending: PendingWrites, spaces: Mapping[str, str]) -> set[str]:
    """Return the ids of the superstep's questions, those that were answered included."""
    # Also of tasks that finished since, which `questions_asked` would pass over.
    past = {i.id for writes in pending.values() for i in _interrupts(writes)}
    for task_id, ns in spaces.items():
        count = len(answers_of(pending, task_id))
        past |= {interrupt_id(ns, number) for number in range(count)}
    return past


def asked_together(pending: PendingWrites, waiting: Mapping[str, set[str]]) -> set[str]:
    """Return the ids of the questions that strands of one task ask; none if others wait too.

    The task may be one of a nested graph, for which the one that called the graph stands here.
    """
    owners = {task_id for tasks in waiting.values() for task_id in tasks}
    # Tasks of a superstep have no order, so only what waits in one can be answered one after the
    # other.
    if len(waiting) < 2 or len(owners) > 1:
        return set()
    return read_together(pending.get(record_id(owners.pop(), TOGETHER)))


def is_counted(pending: Mapping[str, list[Write]], task_id: str) -> bool:
    """Say whether a task was stopped by a program that tells all its calls by their order."""
    writes = pending.get(task_id)
    if not writes or plain_writes(writes):
        return False
    record = read_questions(pending.get(record_id(task_id)))
    # Without a record another program stopped the task, or its own code alone has called, which
    # both ways tell by the order.
    return record is None or record[0].is_counted


def answers_of(pending: PendingWrites, task_id: str) -> list[Any]:
    """Return what is stored of the answers to a task's questions, by number."""
    record = read_questions(pending.get(record_id(task_id)))
    return recorded_answers(pending.get(task_id, ()), NO_MORE if record is None else record[1])


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return stored interrupts as a tuple; a single one may have been stored bare."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
