"""The time of day, and what is done when its time has come: without a look at the clock before."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Final

from millstream._base.cancellation import within

logger = logging.getLogger("millstream.server")

LONGEST_NAP: Final = 60.0
"""Seconds until a look at the clock: computers sleep, and their clocks are set."""
AGAIN_AFTER: Final = timedelta(minutes=1)


CORRECTIONS: Final = 1.0
"""Seconds by which a clock is put back without showing it: it stands until it is right again. One
that was put back further has been set."""


class Clock:
    """The time of day: that of the database, once it has told its own, else that of this process.

    Servers that share a database go by its time, so that it does not matter what their own clocks
    show. In between the time goes on by a clock that nobody sets. Used from any thread.
    """

    def __init__(
        self,
        own: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the clock of this process, in seconds since 1970, and one that only goes on."""
        self._own = own
        self.steady: Final = steady
        """Seconds since some moment."""
        self._lead: tuple[float, float] | None = None
        """How much the database's time is ahead of the steady one: at least, and at most."""
        self._shown = 0.0

    def note(self, told: float, asked_at: float) -> None:
        """Take note of the time of the database, in seconds since 1970.

        It was asked for at a moment of the steady clock, and has answered by now: so it is known up
        to the time that this took. Of several answers the narrowest counts that none contradicts.
        """
        least, most = told - self.steady(), told - asked_at
        known = self._lead
        if known is not None and known[0] <= most and least <= known[1]:
            least, most = max(least, known[0]), min(most, known[1])
        self._lead = least, most

    def seconds(self) -> float:
        """Return the time, in seconds since 1970; it is not ahead of the database's."""
        lead = self._lead
        if lead is None:
            return self._own()
        now, shown = self.steady() + lead[0], self._shown
        if 0 < shown - now < CORRECTIONS:
            return shown
        self._shown = now
        return now

    def ms(self) -> int:
        """Return the time, in milliseconds since 1970."""
        return int(self.seconds() * 1000)

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.fromtimestamp(self.seconds(), timezone.utc)

    def until(self, moment: datetime) -> float:
        """Return for how many seconds to sleep until a time, or until another look at the clock."""
        return min((moment - self.now()).total_seconds(), LONGEST_NAP)

    async def wait(self, event: asyncio.Event, until: datetime | None) -> None:
        """Return when an event is set, or a time has come."""
        while not event.is_set():
            left = None
            if until is not None:
                left = self.until(until)
                if left <= 0:
                    return
            if left is None:
                await event.wait()
                continue
            with suppress(asyncio.TimeoutError):
                await within(left, event.wait())


def stamp(time: datetime) -> str:
    """Return a time as rows and clients have it."""
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")


class Chore(ABC):
    """Something that is done whenever it is due, and only then."""

    def __init__(self, name: str, clock: Clock, *, again_after: float | None = None) -> None:
        """Make it; after so many seconds it looks again by itself, where others leave things."""
        self._name = name
        self.clock: Final = clock
        self._again_after = again_after
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_awake = True
        """It has not yet done what is due, as far as it knows."""

    @abstractmethod
    async def do(self) -> datetime | None:
        """Do what is due; return when something is due next, None if nothing will be."""

    def start(self) -> None:
        """Do what is due from now on."""
        self._task = asyncio.get_running_loop().create_task(self._go_on(), name=self._name)

    def wake(self) -> None:
        """Have a look: there may be something to do earlier than was known."""
        self.is_awake = True
        self._woken.set()

    async def close(self) -> None:
        """Do nothing any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _go_on(self) -> None:
        while True:
            self._woken.clear()
            try:
                until = await self.do()
            except Exception:
                logger.exception("%s failed, and will be tried again", self._name)
                until = self.clock.now() + AGAIN_AFTER
            self.is_awake = self._woken.is_set()
            await self.clock.wait(self._woken, self._at_latest(until))
            self.is_awake = True

    def _at_latest(self, due: datetime | None) -> datetime | None:
        """Return when to look again, if something is due at a time as far as it is known here."""
        if self._again_after is None:
            return due
        latest = self.clock.now() + timedelta(seconds=self._again_after)
        return latest if due is None else min(due, latest)
