"""Running one task as often as its policies say, in a sync run and in an async one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from langchain_core.runnables.config import var_child_runnable_config

from millstream.drivers import caching, clock
from millstream.drivers.asking import interrupt_in
from millstream.drivers.nodecall import add_task_note, sync_timeout_error
from millstream.drivers.outlet import RunAbandoned
from millstream.drivers.timeouts import attempt_in_time, timeout_of
from millstream.errors import GraphBubbleUp, NodeCancelledError, ParentCommand

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.drivers.run import Run

RETRY_WATCH: Final = 0.05
"""Seconds between two looks, during a back-off, at whether the run was left."""


def execute(context: TaskContext) -> None:
    """Run a task in this thread until it succeeds or must not be tried again."""
    task = context.task
    body = task.node.body
    if body.has_policies or task.timeout is not None:
        if timeout_of(context) is not None:
            raise sync_timeout_error(task.name)
        context.note_start()
    while True:
        var_child_runnable_config.set(context.config)  # type: ignore[arg-type]  # a dict subclass
        try:
            body.attempt(context)
        except ParentCommand as signal:
            if not body.take_command(context, signal):
                raise
            body.apply_command(context, signal)
            return
        except GraphBubbleUp:
            raise
        except Exception as error:
            delay = body.retry_delay(context, error)
            if delay is None:
                add_task_note(error, context)
                raise
        except BaseException as error:
            _translate(context, error)
            raise
        else:
            if body.cache is not None:
                caching.keep(context)
            return
        context.is_over = True
        _wait(context.run, delay)
        context.next_attempt()


async def aexecute(context: TaskContext) -> None:
    """Run a task until it succeeds or must not be tried again."""
    task = context.task
    body = task.node.body
    timeout = None
    if body.has_policies or task.timeout is not None:
        timeout = timeout_of(context)
        context.note_start()
    while True:
        var_child_runnable_config.set(context.config)  # type: ignore[arg-type]  # a dict subclass
        try:
            await (body.aattempt(context) if timeout is None else attempt_in_time(context, timeout))
        except ParentCommand as signal:
            if not body.take_command(context, signal):
                raise
            await body.aapply_command(context, signal)
            return
        except GraphBubbleUp:
            raise
        except Exception as error:
            delay = body.retry_delay(context, error)
            if delay is None:
                add_task_note(error, context)
                raise
        except BaseException as error:
            _translate(context, error)
            raise
        else:
            if body.cache is not None:
                await caching.akeep(context)
            return
        context.is_over = True
        await clock.asleep(delay)
        context.next_attempt()


def _translate(context: TaskContext, error: BaseException) -> None:
    """Raise what the run understands in place of a cancellation or of a group of questions."""
    if isinstance(error, asyncio.CancelledError) and not context.is_over:
        raise NodeCancelledError(context.task.name) from error
    if (signal := interrupt_in(error)) is not None:
        raise signal from error


def _wait(run: Run, seconds: float) -> None:
    """Sleep, and raise `RunAbandoned` soon after nobody waits for the run any more."""
    end = clock.monotonic() + seconds
    while (remaining := end - clock.monotonic()) > 0:
        clock.sleep(min(remaining, RETRY_WATCH))
        if run.is_left or run.is_abandoned:
            raise RunAbandoned(run.name)
