"""The time, what is drawn at random, and the ids of checkpoints, which are made of both.

The drivers ask nowhere else, and through this module (`clock.monotonic()`), so that a test can put
functions of its own in the place of these.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timezone
from threading import Lock
from typing import Final
from uuid import UUID, uuid4

_RANDOM_BITS: Final = (1 << 64) - 1
"""What of an id says nothing of its order."""
_LAST_TICK: Final = (1 << 60) - 1
_TICKS_TO_1970: Final = 0x01B21DD213814000
"""From the beginning of the Gregorian calendar, 100 ns each."""


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


def random_id() -> str:
    """Return a random UUID."""
    return str(uuid4())


message_ids: Final[ContextVar[Callable[[], str]]] = ContextVar("message_ids", default=random_id)
"""What makes the ids of messages that have none: a reducer has no other way to be told."""


def message_id() -> str:
    """Return the id for a message that has none."""
    return message_ids.get()()


class Stamps:
    """The ids of the checkpoints that a run makes, and those nested in it: each above the last.

    Savers, and whoever goes back in a thread, put checkpoints in the order of their ids, which are
    made of the time. The clock of this machine may be behind that of the one that wrote what is in
    the thread already, so an id is also above all that were seen.
    """

    __slots__ = ("_highest", "_lock")

    def __init__(self) -> None:
        self._highest = ""
        self._lock = Lock()

    @property
    def highest(self) -> str:
        """The highest id there is, empty if there is none."""
        return self._highest

    def see(self, *ids: str) -> None:
        """Take note of checkpoints that are stored."""
        with self._lock:
            self._highest = max(self._highest, *ids)

    def stamp(self, step: int) -> tuple[str, str]:
        """Return the id of a checkpoint that is made now, and the time."""
        id = _ordered_id(step)
        with self._lock:
            if id <= self._highest:
                id = _above(self._highest, id)
            self._highest = id
        return id, now()


def _above(highest: str, id: str) -> str:
    """Return an id with the next tick after `highest`, and the rest of `id`.

    The id itself where there is no next one, or `highest` is no UUID.
    """
    try:
        bits = UUID(highest).int
    except ValueError:
        return id
    tick = bits >> 80 << 12
    # Ids of another version differ in a digit that is compared before the lowest of the tick.
    tick += (bits >> 64 & 0xFFF) + 1 if bits >> 76 & 0xF == 6 else 1 << 12
    if tick > _LAST_TICK:
        return id
    order = tick >> 12 << 16 | 6 << 12 | tick & 0xFFF
    return str(UUID(int=order << 64 | UUID(id).int & _RANDOM_BITS))


def _ordered_id(step: int) -> str:
    """Return a UUID of version 6, as LangGraph's ids are: the time, then the step."""
    tick = time.time_ns() // 100 + _TICKS_TO_1970
    clock = 0x8000 | step & 0x3FFF
    text = f"{tick >> 12:012x}6{tick & 0xFFF:03x}{clock:04x}{random.getrandbits(48):012x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
