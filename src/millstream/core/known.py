"""What a loaded checkpoint knows of its superstep: the writes that were stored next to it.

They say which tasks of the superstep had finished, which had failed or asked, what they were
answered, and what commands had written to the state before the run stopped again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    NULL_TASK_ID,
    RESUME,
)
from millstream.types import interrupt_id

if TYPE_CHECKING:
    from millstream.core.protocol import Write

NOTES: Final = frozenset((ERROR, ERROR_SOURCE_NODE, INTERRUPT, RESUME))
"""Stored of tasks that have not finished."""

Known = dict[str, "list[Write]"]
"""Task id -> what is stored of it."""


class Place(Enum):
    """Where in its thread a run goes on."""

    LATEST = "latest"
    """Wherever the thread is."""
    NAMED = "named"
    """At a checkpoint that was named, and is the thread's newest."""
    PAST = "past"
    """At a checkpoint that was named, and that the thread has moved past."""


def by_task(writes: Iterable[tuple[str, str, Any]]) -> Known:
    """Sort stored writes, `(task id, channel, value)`, by task."""
    known: Known = {}
    for task_id, channel, value in writes:
        known.setdefault(task_id, []).append((channel, value))
    return known


def plain_writes(writes: Sequence[Write]) -> list[Write]:
    """Return what a task wrote that had finished; empty for any other."""
    return [write for write in writes if write[0] not in NOTES]


def recorded_answers(writes: Sequence[Write]) -> list[Any]:
    """Return what the task's questions were answered, in order."""
    for channel, value in writes:
        if channel == RESUME:
            return list(value) if isinstance(value, list) else [value]
    return []


def handled_error(writes: Sequence[Write]) -> Exception | None:
    """Return the error of a task whose handler was to run, None for any other task.

    What is stored of an error is its text, unless the saver can do better.
    """
    notes = dict(writes)
    if ERROR_SOURCE_NODE not in notes or ERROR not in notes:
        return None
    error = notes[ERROR]
    return error if isinstance(error, Exception) else Exception(error)


def take_commands(known: Known) -> list[Write]:
    """Take out what commands wrote to the state.

    A bare answer that is stored with them is spent or was given to nobody: the question is asked
    again rather than answered with something that may have been meant for another.
    """
    return plain_writes(known.pop(NULL_TASK_ID, ()))


def without_answers(known: Known) -> Known:
    """Return the same without what questions were answered."""
    return {id: [w for w in writes if w[0] != RESUME] for id, writes in known.items()}


def has_failed(writes: Sequence[Write]) -> bool:
    """Say whether a task ended with an error."""
    return any(channel == ERROR for channel, _ in writes)


def asked_questions(writes: Sequence[Write]) -> set[str]:
    """Return the ids of the questions a task asked last, if it has not finished."""
    if plain_writes(writes):
        return set()
    return {i.id for name, value in writes if name == INTERRUPT for i in as_tuple(value)}


def waiting_questions(known: Known, spaces: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the questions nobody has answered, by id, with the ids of the tasks they wait in.

    `spaces` are the namespaces of the superstep's tasks, by task id.
    """
    waiting: dict[str, set[str]] = {}
    for task_id, writes in known.items():
        asked = asked_questions(writes)
        if task_id in spaces:
            answered = range(len(recorded_answers(writes)))
            asked -= {interrupt_id(spaces[task_id], count) for count in answered}
        for question in asked:
            waiting.setdefault(question, set()).add(task_id)
    return waiting


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Return stored interrupts as a tuple; a single one may have been stored bare."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)
