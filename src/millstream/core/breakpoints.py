"""Static breakpoints: whether the run stops before or after these tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from millstream.core.checkpoints import AFTER, BEFORE
from millstream.core.state import RunStatus

if TYPE_CHECKING:
    from millstream.core.checkpoints import Lineage
    from millstream.core.progress import Progress
    from millstream.core.protocol import RunLimits
    from millstream.core.tasks import Task


def is_breakpoint(
    names: str | Collection[str], tasks: Sequence[Task], lineage: Lineage | None
) -> bool:
    """Say whether one of the tasks is named by the breakpoint list, `"*"` naming all.

    A run that was resumed does not stop twice at one place: something must have changed since it
    last stopped.
    """
    if not names or (lineage is not None and not lineage.has_news()):
        return False
    # Hidden nodes are the engine's own: a person has no use for a stop at them.
    if names == "*":
        return any(not task.node.is_hidden for task in tasks)
    return any(task.node.name in names for task in tasks)


def stop_at(limits: RunLimits, ended: Sequence[Task], lineage: Lineage) -> str:
    """Return at which kind of breakpoint a run may stop that has just ended these tasks.

    It stops for certain `AFTER` them. What runs next is not known yet: whoever goes on from there
    sees whether it is to be stopped `BEFORE`.
    """
    if is_breakpoint(limits.after, ended, lineage):
        return AFTER
    return BEFORE if limits.before else ""


def end_before(run: Progress, tasks: Sequence[Task]) -> RunStatus | None:
    """Return the status in which the run ends instead of running the tasks, if it does."""
    limits = run.limits
    # In this order, which is rule 6 of `state`.
    if run.is_stopped_after:
        return RunStatus.BREAKPOINT
    if run.step > run.stop:
        return RunStatus.OUT_OF_STEPS
    if not tasks:
        return RunStatus.DONE
    # First, because whoever goes on from here has been shown what it stopped before.
    if is_breakpoint(limits.before, tasks, run.lineage):
        return RunStatus.BREAKPOINT
    is_drained = limits.control is not None and limits.control.drain_requested
    return RunStatus.DRAINED if is_drained else None
