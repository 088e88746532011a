"""Waiting, and what a cancellation makes of it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, awaited: Awaitable[T]) -> T:
    """Return what something comes to; `asyncio.TimeoutError` if it takes longer, and is cancelled.

    Before Python 3.12 `asyncio.wait_for` forgets that its task was cancelled if what it waits for
    is there at the same moment. Whoever then waits for the end of that task waits for ever.
    """
    task = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        raise asyncio.TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # if it is not raised here, it is told nowhere else


async def wait_through_cancellation(
    tasks: Collection[asyncio.Future[Any]],
) -> asyncio.CancelledError | None:
    """Wait for the tasks; return a cancellation that came meanwhile instead of raising it."""
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError as error:
        return error
    return None


async def in_thread(
    make: Callable[[threading.Event], T], *, undo: Callable[[T], object] = lambda made: None
) -> T:
    """Return what a function makes in a thread of the event loop; who is cancelled leaves nothing.

    A thread cannot be stopped from outside. So the function is given an event, which is set when
    nobody waits for it any more: where it waits itself, it looks at that. Its end is waited for,
    and what it has made nevertheless is given to `undo`.
    """
    is_left = threading.Event()
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    # No task, which the end of the loop would cancel, while the thread goes on.
    making = loop.run_in_executor(None, context.run, make, is_left)
    cancelled = await wait_through_cancellation([making])
    if cancelled is None:
        return making.result()
    is_left.set()
    await wait_through_cancellation([making])
    if making.done() and making.exception() is None:
        await loop.run_in_executor(None, context.run, undo, making.result())
    raise cancelled
