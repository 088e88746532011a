"""`EventLog`: everything a run says, in order, for any number of readers.

An event's `seq` is its place: 1, 2, 3, ... without holes. A reader is nothing but the place it has
come to: it takes what is there after that, and waits at a bell when there is nothing. So a late
reader sees what an early one saw, a slow one keeps nobody waiting, and one that goes away leaves
nothing behind.

`EventReader.fetch` decides everything and never waits; the ways to wait, for threads and for tasks
of any event loop, are a line each around it, as in anyio's memory object streams.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from typing_extensions import Self

from millstream._base.clock import current
from millstream.modes.event import Event, logged
from millstream.runs.bell import Bell

if TYPE_CHECKING:
    from millstream.modes.parts import Part

BATCH: Final = 256
"""How many events a reader fetches together."""


@runtime_checkable
class EventLog(Protocol):
    """The log of one run. All of it can be called from any thread, and nothing of it waits."""

    error: BaseException | None
    """What ended the run that is logged, None if nothing went wrong."""

    def append(self, part: Part) -> Event:
        """Give a part its place, and let readers have it.

        Raises `RuntimeError` when the log is closed.
        """

    def read(self, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        """Return the events with a `seq` above `after` that are there now, the oldest first."""

    def subscribe(self, after: int = 0) -> EventReader:
        """Return a reader of the events with a `seq` above `after`, also of those to come."""

    def close(self, error: BaseException | None = None) -> None:
        """End the log: readers come to their end when they have read everything.

        They are not told of the error: it is about the run, and told to whoever owns that. Closing
        a log again changes nothing.
        """

    @property
    def is_closed(self) -> bool:
        """Whether there will be no more events."""

    @property
    def bell(self) -> Bell:
        """What rings when there is news: an event, or the end."""


class EventReader:
    """One reader of a log: iterate it in a thread, or with `async for` in a task of any loop.

    It ends with the log, after the last event, whatever ended the run.
    """

    __slots__ = ("_fetched", "_log", "seq")

    def __init__(self, log: EventLog, after: int = 0) -> None:
        if after < 0:
            raise ValueError(f"after must be the seq of an event, or 0, got {after}")
        self._log = log
        self._fetched: deque[Event] = deque()
        self.seq = after
        """The place it has come to: the `seq` of the last event it took."""

    def fetch(self) -> bool:
        """Fetch what is there; say whether there is an event, or the end of the log."""
        if self._fetched:
            return True
        is_closed = self._log.is_closed  # asked first: what came before the end is there then
        self._fetched.extend(self._log.read(self.seq, BATCH))
        return is_closed or bool(self._fetched)

    def take(self) -> Event | None:
        """Return the next event of those that were fetched, None if there are none left."""
        if not self._fetched:
            return None
        event = self._fetched.popleft()
        self.seq = event.seq
        return event

    def _wait(self) -> None:
        # `fetch` is what it waits for: it takes what is there when it says that there is something.
        self._log.bell.wait(self.fetch)

    async def _await(self) -> None:
        await self._log.bell.await_(self.fetch)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        if not self._fetched:
            self._wait()
        if (event := self.take()) is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not self._fetched:
            await self._await()
        if (event := self.take()) is None:
            raise StopAsyncIteration
        return event


class MemoryLog:
    """A log in memory: it keeps all events as long as it is there itself."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.bell: Final = Bell()
        self._clock = current()
        self._events: list[Event] = []
        self._lock = threading.Lock()
        """Held by who appends, for as long as it takes to give one event its place."""
        self._is_closed = False

    def append(self, part: Part) -> Event:
        """Give a part its place, and let readers have it."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The log is closed: the run it belongs to has ended")
            # Made under the lock: places are to have no holes and stand in the order of their
            # numbers.
            event = logged(part, len(self._events) + 1, int(self._clock.timestamp() * 1000))
            self._events.append(event)
        self.bell.ring()
        return event

    def read(self, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        """Return the events with a `seq` above `after` that are there now, the oldest first."""
        # Without the lock: the list only grows, and a slice of it is made in one go.
        return self._events[after : None if limit is None else after + limit]

    def subscribe(self, after: int = 0) -> EventReader:
        """Return a reader of the events with a `seq` above `after`, also of those to come."""
        return EventReader(self, after)

    def close(self, error: BaseException | None = None) -> None:
        """End the log."""
        # Without the lock: the collector may close it in a thread that appends.
        if not self._is_closed:
            self.error = error
            self._is_closed = True
            self.bell.ring()

    @property
    def is_closed(self) -> bool:
        """Whether there will be no more events."""
        return self._is_closed
