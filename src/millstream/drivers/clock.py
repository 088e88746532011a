"""The time, what is drawn at random, and the ids of checkpoints, which are made of both.

The drivers ask nowhere else, and through this module (`clock.monotonic()`), so that a test can put
functions of its own in the place of these.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime, timezone


def monotonic() -> float:
    """Return seconds from some moment on: what durations are measured with."""
    return time.monotonic()


def timestamp() -> float:
    """Return the seconds since 1970, UTC."""
    return time.time()


def draw() -> float:
    """Return a random number in [0, 1)."""
    return random.random()


def sleep(seconds: float) -> None:
    """Block this thread for so long."""
    time.sleep(seconds)


async def asleep(seconds: float) -> None:
    """Give others the loop for so long."""
    await asyncio.sleep(seconds)


def now() -> str:
    """Return the time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat()


def new_id() -> str:
    """Return the id of a checkpoint that will not be stored."""
    return _ordered_id(-2)


def stamp(step: int) -> tuple[str, str]:
    """Return the id of a checkpoint that is made now, and the time."""
    return _ordered_id(step), now()


def _ordered_id(step: int) -> str:
    # Late, because it brings all that savers are made of.
    from langgraph.checkpoint.base.id import uuid6

    return str(uuid6(clock_seq=step))
