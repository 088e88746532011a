"""What comes before a superstep: room for what it says, its tasks, and those a cache knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.drivers import caching
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.core.tasks import Task
    from millstream.drivers.run_scope import RunScope


def must_wait(run: RunScope) -> bool:
    """Say whether `plan` may have to wait; it is a coroutine, which costs nested runs a µs."""
    return bool(run.outer_limits) or run.cache is not None


def plan_at_once(run: RunScope) -> Sequence[Task] | None:
    """Do what `plan` does where it need not wait."""
    # Now, not before it has waited: the reader may have gone meanwhile.
    if run.parent is not None and run.is_abandoned:
        raise RunAbandoned(run.name)
    return run.machine.plan()


async def plan(run: RunScope) -> Sequence[Task] | None:
    """Return the tasks to run in the next superstep, None at the end of the run.

    What is pending must have been given to the saver.
    """
    # What the engine tells of a nested run does not wait; so its next superstep does.
    for limit in run.outer_limits:
        await run.waits.room_in(limit)
    tasks = plan_at_once(run)
    if tasks and run.cache is not None:
        tasks = await caching.replay_cached(run, tasks)
    return tasks
