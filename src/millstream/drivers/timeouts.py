"""Timeouts of single attempts, for async nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

from millstream._base.cancellation import wait_through_cancellation
from millstream.drivers.heartbeats import Heartbeats
from millstream.errors import NodeTimeoutError
from millstream.types import TimeoutPolicy

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext


def timeout_of(context: TaskContext) -> TimeoutPolicy | None:
    """Return the timeout of a task: its Send's own, else its node's."""
    timeout: TimeoutPolicy | None = context.task.node.body.timeout
    if context.task.timeout is not None:
        timeout = TimeoutPolicy.coerce(context.task.timeout)
    return timeout


async def attempt_in_time(
    context: TaskContext,
    policy: TimeoutPolicy,
    attempt_once: Callable[[TaskContext], Coroutine[Any, Any, None]],
) -> None:
    """Run one attempt; `NodeTimeoutError` when it takes, or is idle for, too long.

    The attempt is cancelled and has stopped when the error is raised.
    """
    clock = context.run.clock
    started = clock.monotonic()
    context.has_timeout = True
    run_limit, idle_limit = seconds(policy.run_timeout), seconds(policy.idle_timeout)
    heartbeats = Heartbeats(context.outer_heartbeats(), clock, is_auto=policy.refresh_on == "auto")
    if idle_limit is not None:
        context.own_heartbeats = heartbeats
    run_end = inf if run_limit is None else started + run_limit
    attempt = asyncio.create_task(attempt_once(context))
    try:
        while not attempt.done():
            idle_end = inf if idle_limit is None else heartbeats.last + idle_limit
            remaining = min(run_end, idle_end) - clock.monotonic()
            if remaining <= 0:
                break
            await asyncio.wait([attempt], timeout=remaining)
        if attempt.done():
            attempt.result()
            return
        context.is_over = context.is_cancelled = True
        now = clock.monotonic()
        raise NodeTimeoutError(
            context.task.name,
            now - started,
            # Not by what has passed since the start: rounding may make that less than the limit.
            kind="run" if now >= run_end else "idle",
            run_timeout=run_limit,
            idle_timeout=idle_limit,
        )
    finally:
        if not attempt.done():
            await stop(attempt)
        elif not attempt.cancelled():
            attempt.exception()  # looked at, should we be cancelled in this very moment


async def stop(attempt: asyncio.Task[None]) -> None:
    """Cancel an attempt and wait until it has stopped, however often we are cancelled."""
    cancelled: asyncio.CancelledError | None = None
    attempt.cancel()
    while not attempt.done():
        cancelled = await wait_through_cancellation([attempt]) or cancelled
    if not attempt.cancelled():
        # Looking at what went wrong on the way out keeps asyncio from reporting it as unseen.
        attempt.exception()
    if cancelled is not None:
        raise cancelled


def seconds(value: object) -> float | None:
    """Return a timeout in seconds."""
    return None if value is None else float(value)  # type: ignore[arg-type]  # numbers by now
