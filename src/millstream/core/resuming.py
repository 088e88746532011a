"""Going on from a loaded checkpoint: on which branch, and with what its tasks had done.

A run goes on wherever its thread is, or at a checkpoint that was named. The first continues what
was stopped: tasks that had finished are not run again, those that asked are given their answers.
The second travels: what came after the checkpoint stays where it is, so the run begins a branch and
runs the tasks of the checkpoint anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millstream.core.pending_writes import (
    ResumePoint,
    answers_of,
    asked_together,
    has_failed,
    past_questions,
    plain_writes,
    questions_asked,
    waiting_questions,
)
from millstream.core.strands import read_questions, record_id

if TYPE_CHECKING:
    from millstream.core.answers import Answers
    from millstream.core.checkpoints import Lineage
    from millstream.core.pending_writes import PendingWrites
    from millstream.core.progress import Progress
    from millstream.core.protocol import Write
    from millstream.core.tasks import Task

BRANCHES: Final = ("update", "fork")
"""Sources of checkpoints that begin a branch of their own."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a run goes on from the checkpoint that was loaded."""

    is_travelling: bool
    """It goes on from a checkpoint that was named, whatever came after it."""
    is_forking: bool
    """It begins a branch, with a checkpoint of its own."""
    is_anew: bool
    """Tasks run again, whatever they wrote before."""
    stop: str
    """The kind of breakpoint at the checkpoint, if the run is the first to be shown it."""


def choose_way(lineage: Lineage, point: ResumePoint, *, is_answered: bool, is_touched: bool) -> Way:
    """Decide how a run goes on.

    Answers to questions are for the tasks as they are, so with them (`is_answered`) the run neither
    travels nor starts a branch. `is_touched` says that somebody has gone on from the checkpoint
    before, or writes to it now: a breakpoint is passed by who was shown it, and the first to go on
    from it stops there.
    """
    is_past = point is ResumePoint.PAST
    # Whoever answers means the tasks that asked: they are not run anew, wherever they are.
    is_travelling = point is not ResumePoint.LATEST and not is_answered
    is_new_to_all = not (is_touched or is_answered or is_past)
    return Way(
        is_travelling=is_travelling,
        # A checkpoint that was made by hand is its own branch already; to fork it would double it.
        is_forking=is_travelling and (is_past or lineage.metadata.get("source") not in BRANCHES),
        # An answer to the past runs its tasks anew too: what they wrote led to what came after.
        is_anew=is_travelling or is_past,
        stop=lineage.stop if is_new_to_all else "",
    )


def recall(
    task: Task, pending: PendingWrites, answers: Answers | None, *, is_anew: bool
) -> list[Write]:
    """Return what the task wrote when it ran before; empty, and its answers, if it must run."""
    writes = pending.get(task.id)
    if writes is None:
        return []
    # Whether they wrote or not decides whether they finished: a task that ends without a write has
    # one stored that says so.
    plain = [] if is_anew else plain_writes(writes)
    if not plain:
        recall_questions(task, pending, answers)
    return plain


def check_answers(
    answers: Answers, tasks: Iterable[Task], pending: PendingWrites, *, is_strict: bool
) -> None:
    """Refuse answers that cannot be matched to what the tasks of the coming superstep asked."""
    # Ids of questions are made of namespaces, so this says which were answered without asking them.
    spaces = {task.id: task.ns for task in tasks}
    waiting = waiting_questions(pending, spaces)
    answers.check(
        waiting,
        together=asked_together(pending, waiting),
        past=past_questions(pending, spaces),
        is_strict=is_strict,
    )


def recall_questions(task: Task, pending: PendingWrites, answers: Answers | None) -> None:
    """Give a task that runs again what it asked, and what it was answered."""
    writes, recorded, count = pending[task.id], answers_of(pending, task.id), 0
    # Only tasks with several strands have a record; what others asked is a number.
    if (record := read_questions(pending.get(record_id(task.id)))) is not None:
        task.questions = record[0]
        count = len(record[0].asked)
    task.waiting = questions_asked(writes)
    if answers is not None:
        asked = [question.id for question in task.waiting]
        recorded = answers.given_to(
            task.ns, recorded, asked, count=count, has_failed=has_failed(writes)
        )
    task.answers = recorded
    task.asked = len(recorded)


def keep_finished(machine: Progress, tasks: Sequence[Task]) -> set[str] | None:
    """End a superstep that was left with what its finished tasks wrote: it may have been seen.

    One in which a task asks or has failed is dropped, as is one whose writes a channel refuses.
    Returns the channels that hold new values since the last superstep.
    """
    tasks = with_pending_writes(machine, tasks)
    # Something is stored of these, but no writes: they asked, or failed.
    noted = [task for task in tasks if not task.writes and machine.pending_writes.get(task.id)]
    if noted or not any(task.writes for task in tasks):
        return machine.updated
    # A channel may refuse when others have taken theirs, and the run is to go on without any of it.
    before = machine.cells.copy()
    try:
        return end_left(machine, tasks)
    except Exception:  # whatever a channel raises; who reads the thread is told
        machine.cells.restore(before)
        return machine.updated


def end_left(machine: Progress, tasks: Sequence[Task]) -> set[str]:
    """Commit the superstep of these tasks with what they have written so far."""
    lineage = machine.lineage
    assert lineage is not None, "without checkpoints there is nothing to end"
    touched: list[str] = []
    updated = machine.cells.end_step(tasks, touched)
    # Before the writes get their versions: what they change is news to all nodes, these included.
    lineage.mark_seen(tasks)
    lineage.bump(touched)
    return updated


def with_pending_writes(machine: Progress, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks in write order, those that finished before with their writes."""
    # The order of `commit`, so that a superstep ended here is the one it would have been.
    ordered = sorted(tasks, key=lambda task: task.path)
    for task in ordered:
        task.writes = plain_writes(machine.pending_writes.get(task.id, ()))
    return ordered
