"""Static breakpoints: whether the run stops before or after these tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.core.snapshot import Lineage
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
    if names == "*":
        return any(not task.node.is_hidden for task in tasks)
    return any(task.node.name in names for task in tasks)
