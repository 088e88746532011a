"""The time, what is drawn at random, and the ids of checkpoints, which are made of both.

Runs ask nowhere but the `Clock` that they were given, so that a test can give them one of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from functools import lru_cache
from threading import Lock
from typing import Final
from uuid import UUID, uuid4

_RANDOM_BITS: Final = (1 << 64) - 1
"""What of an id says nothing of its order."""
_LAST_TICK: Final = (1 << 60) - 1
_TICKS_TO_1970: Final = 0x01B21DD213814000
"""From the beginning of the Gregorian calendar, 100 ns each."""


class Clock:
    """Where a run has the time from, and what is drawn at random; this one is the machine's.

    A run is given the one of the context it is opened in, and what it calls has that of the run.
    """

    __slots__ = ()

    def monotonic(self) -> float:
        """Return seconds from some moment on: what durations are measured with."""
        return time.monotonic()

    def timestamp(self) -> float:
        """Return the seconds since 1970, UTC."""
        return time.time()

    def nanos(self) -> int:
        """Return the nanoseconds since 1970, UTC: what checkpoints are stamped with."""
        return time.time_ns()

    def now(self) -> str:
        """Return the time, ISO 8601."""
        return _text(self.nanos())

    def sleep(self, seconds: float) -> None:
        """Block this thread for so long."""
        time.sleep(seconds)

    def sleep_unless(self, is_over: Callable[[], bool], seconds: float, *, look: float) -> None:
        """Block this thread for so long, or until something is over.

        There are `look` seconds between two looks at that.
        """
        end = self.monotonic() + seconds
        while (remaining := end - self.monotonic()) > 0 and not is_over():
            self.sleep(min(remaining, look))

    async def asleep(self, seconds: float) -> None:
        """Give others the loop for so long."""
        await asyncio.sleep(seconds)

    def draw(self) -> float:
        """Return a random number in [0, 1)."""
        return random.random()

    def new_id(self, step: int = -2) -> str:
        """Return the id of a checkpoint, by default of one that will not be stored.

        A UUID of version 6, as LangGraph's ids are: the time, then the step.
        """
        return _id(self.nanos(), step)

    def stamp(self, step: int) -> tuple[str, str]:
        """Return the id of a checkpoint that is made now, and the time."""
        return self.new_id(step), self.now()


class _SystemClock(Clock):
    def stamp(self, step: int) -> tuple[str, str]:
        nanos = time.time_ns()  # one look is enough for both
        return _id(nanos, step), _text(nanos)


def _id(nanos: int, step: int) -> str:
    """Return an id of a moment since 1970."""
    tick = f"{nanos // 100 + _TICKS_TO_1970:015x}"
    clock = 0x8000 | step & 0x3FFF
    return f"{tick[:8]}-{tick[8:12]}-6{tick[12:]}-{clock:x}-{random.getrandbits(48):012x}"


def _text(nanos: int) -> str:
    """Return a moment since 1970, ISO 8601."""
    seconds, micros = divmod(nanos // 1000, 1_000_000)
    text = _second(seconds)
    return f"{text}.{micros:06}+00:00" if micros else f"{text}+00:00"


@lru_cache(maxsize=4)  # thousands of checkpoints are of one second
def _second(seconds: int) -> str:
    """Return seconds since 1970 as ISO 8601, without the zone."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()[:-6]


SYSTEM: Final[Clock] = _SystemClock()
"""For what belongs to the process and not to a run: threads, processes, the end of both."""

_current: Final[ContextVar[Clock]] = ContextVar("millstream_clock", default=SYSTEM)


def current() -> Clock:
    """Return the clock of runs that are opened in this context."""
    return _current.get()


@contextmanager
def given(clock: Clock) -> Iterator[None]:
    """Give a clock to what is opened in this context."""
    token = _current.set(clock)
    try:
        yield
    finally:
        _current.reset(token)


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

    __slots__ = ("_clock", "_highest", "_lock")

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = current() if clock is None else clock
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
        id, now = self._clock.stamp(step)
        with self._lock:
            if id <= self._highest:
                id = _above(self._highest, id)
            self._highest = id
        return id, now


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
