"""Waiting, and what a cancellation makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
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
    tasks: Collection[asyncio.Task[Any]],
) -> asyncio.CancelledError | None:
    """Wait for the tasks; return a cancellation that came meanwhile instead of raising it."""
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError as error:
        return error
    return None
