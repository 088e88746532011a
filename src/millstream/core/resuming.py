"""Going on from a loaded checkpoint: on which branch, and with what its tasks had done.

A run goes on wherever its thread is, or at a checkpoint that was named. The first continues what
was stopped: tasks that had finished are not run again, those that asked are given their answers.
The second travels: what came after the checkpoint stays where it is, so the run begins a branch and
runs the tasks of the checkpoint anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from millstream.core import pending_writes
from millstream.core.answers import recall_questions
from millstream.core.pending_writes import ResumePoint

if TYPE_CHECKING:
    from millstream.core.answers import Answers
    from millstream.core.checkpoints import Lineage
    from millstream.core.pending_writes import PendingWrites
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
    is_travelling = point is not ResumePoint.LATEST and not is_answered
    is_new_to_all = not (is_touched or is_answered or is_past)
    return Way(
        is_travelling=is_travelling,
        is_forking=is_travelling and (is_past or lineage.metadata.get("source") not in BRANCHES),
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
    plain = [] if is_anew else pending_writes.plain_writes(writes)
    if not plain:
        recall_questions(task, pending, answers)
    return plain
