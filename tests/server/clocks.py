"""A clock that is set by hand."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

from millstream.server.clock import Clock


class HandClock(Clock):
    """It stands until it is put forward."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.time = datetime.fromisoformat(text).astimezone(timezone.utc)
        self.waiting: list[tuple[asyncio.Event, datetime | None]] = []
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """Return the time that it shows."""
        return self.time

    def seconds(self) -> float:
        """Return it in seconds since 1970, whatever a database tells."""
        return self.time.timestamp()

    async def wait(self, event: asyncio.Event, until: datetime | None) -> None:
        """Return when an event is set, or a time has come by hand."""
        entry = (event, until)
        self.waiting.append(entry)
        try:
            while not event.is_set() and (until is None or until > self.time):
                moved = asyncio.ensure_future(self._moved.wait())
                woken = asyncio.ensure_future(event.wait())
                try:
                    await asyncio.wait([moved, woken], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    moved.cancel()
                    woken.cancel()
        finally:
            self.waiting.remove(entry)

    @property
    def is_quiet(self) -> bool:
        """Whether all who wait have to wait on."""
        return all(
            not event.is_set() and (until is None or until > self.time)
            for event, until in self.waiting
        )

    def advance(self, **by: float) -> None:
        """Put it forward."""
        self.put(self.time + timedelta(**by))

    def put(self, time: datetime) -> None:
        """Have it show a time."""
        self.time = time
        self._moved.set()
        self._moved = asyncio.Event()
