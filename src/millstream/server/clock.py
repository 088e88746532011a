"""The time of day, and what is done when its time has come: without a look at the clock before."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Final

logger = logging.getLogger("millstream.server")

LONGEST_NAP: Final = 60.0
"""Seconds until a look at the clock: computers sleep, and their clocks are set."""
AGAIN_AFTER: Final = timedelta(minutes=1)


class Clock:
    """The time of day; tests have one of their own."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(timezone.utc)

    async def wait(self, event: asyncio.Event, until: datetime | None) -> None:
        """Return when an event is set, or a time has come."""
        while not event.is_set():
            left = None
            if until is not None:
                left = min((until - self.now()).total_seconds(), LONGEST_NAP)
                if left <= 0:
                    return
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(event.wait(), left)


def stamp(time: datetime) -> str:
    """Return a time as rows and clients have it."""
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")


class Chore(ABC):
    """Something that is done whenever it is due, and only then."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self.clock: Final = clock
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
            await self.clock.wait(self._woken, until)
            self.is_awake = True
