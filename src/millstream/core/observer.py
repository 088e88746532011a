"""What a run tells about itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.core.tasks import Task


@dataclass(slots=True)
class Observer:
    """The listeners to one run; a fact nobody wants to hear is None and costs nothing.

    The machine calls these in the order in which consumers must see the facts. They must not
    raise, block or call back into the machine.
    """

    checkpoint_reached: Callable[[Sequence[Task]], None] | None = None
    """The coming superstep is known: its tasks, before any of them starts."""
    tasks_started: Callable[[Sequence[Task]], None] | None = None
    """These tasks are about to run, in this order."""
    task_finished: Callable[[Task], None] | None = None
    """The task's writes are complete."""
    task_replayed: Callable[[Task], None] | None = None
    """The task's writes were known already: from a checkpoint or a cache."""
    task_failed: Callable[[Task], None] | None = None
    """The task failed for good, `task.error` says why."""
    task_paused: Callable[[Task], None] | None = None
    """The task asked questions, `task.interrupts` holds them."""
    state_changed: Callable[[Collection[str] | None], None] | None = None
    """These channels hold new values; None stands for a run that continues as it was saved."""
    breakpoint_reached: Callable[[], None] | None = None
    """The run stops at a static breakpoint."""
