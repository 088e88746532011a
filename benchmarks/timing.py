"""Time calls. Standard library only: engines in environments of their own time with it too."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

Measure: TypeAlias = Callable[[int], float]
"""Do the work so many times; return the seconds it took."""


def stopwatch(call: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> Measure:
    """Return what times the call; a coroutine function is awaited in the loop."""
    if not inspect.iscoroutinefunction(call):
        return lambda count: _time(call, count)
    acall = cast(Callable[[], Awaitable[Any]], call)
    return lambda count: loop.run_until_complete(_atime(acall, count))


def _time(call: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - started


async def _atime(call: Callable[[], Awaitable[Any]], count: int) -> float:
    # The clock runs inside the loop: entering and leaving the loop is nobody's cost.
    started = time.perf_counter()
    for _ in range(count):
        await call()
    return time.perf_counter() - started
