"""What a run tells about itself while it goes on.

The machine knows what is planned, finished and committed. It does not know when an attempt begins
or how often a task was tried, what models and tools say, or what a node gives to its writer: that
is for drivers and taps (`modes`), and no field here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from millstream.core.tasks import Task


@dataclass(slots=True)
class Observer:
    """The listeners to one run; a fact nobody wants to hear is None and costs nothing.

    Each field is a fact that the machine tells, and nothing else: what a listener has to know of
    the run it is given when it is made. The machine calls these in the order in which consumers
    must see the facts. They must not raise, block or call back into the machine.
    """

    checkpoint_reached: Callable[[Sequence[Task]], None] | None = None
    """The coming superstep is known: its tasks, before any of them starts."""
    tasks_planned: Callable[[Sequence[Task]], None] | None = None
    """These tasks are planned, in this order. A driver starts each when it can: with
    `max_concurrency` some may wait long, and one whose writes are known never runs."""
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


NOT_WATCHED: Final = Observer()
"""What every run has that nobody watches; shared, so it is never changed."""
