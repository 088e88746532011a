"""Feeds, and what a reader needs of the pump that fills them.

A reader who finds nothing in its feed waits at the pump, which then lets the run go on. There is
no other motor: `sync_pump` and `async_pump` are the two ways to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Sink(Protocol):
    """Where a channel puts its items."""

    def put(self, item: Any) -> None:
        """Take an item."""

    def end(self) -> None:
        """Take note that no more will come."""

    def leave(self) -> None:
        """Take note that the reader has gone."""


class Feed(Generic[T]):
    """What one reader has not read yet."""

    __slots__ = ("is_ended", "items", "limit", "pump", "reader", "waiter")

    def __init__(self, limit: int | None, pump: Pump | None) -> None:
        self.items: deque[T] = deque()
        self.limit = limit
        """How many items make the run wait, None for any number."""
        self.pump = pump
        self.is_ended = False
        """Nothing more will come."""
        self.reader: object = None
        """The thread or asyncio task that reads, as far as known."""
        self.waiter: Any = None
        """What the reader waits for; the pump's."""
        if pump is not None:
            pump.admit(self)

    def put(self, item: T) -> None:
        """Add an item, and wake the reader."""
        self.items.append(item)
        if self.waiter is not None:
            assert self.pump is not None
            self.pump.wake(self)

    def take(self) -> T:
        """Remove the oldest item."""
        item = self.items.popleft()
        if self.limit is not None and self.pump is not None:
            # Only where it counts: whoever reads a feed with a limit may hold back the run.
            self.reader = self.pump.here()
            # The one moment in which a full feed ceases to be full.
            if len(self.items) == self.limit - 1:
                self.pump.recheck()
        return item

    @property
    def is_full(self) -> bool:
        """Whether as many items wait as may."""
        return self.limit is not None and len(self.items) >= self.limit

    def end(self) -> None:
        """Tell the reader that nothing more will come."""
        self.is_ended = True
        if self.waiter is not None:
            assert self.pump is not None
            self.pump.wake(self)

    def leave(self) -> None:
        """Take note that the reader has gone: who still waits for an item is told that it ended."""
        self.items.clear()
        self.end()
        if self.pump is not None:
            self.pump.dismiss(self)


class FeedReader(Generic[T]):
    """The reader's end of a feed: what to do next, decided without waiting.

    The ways to wait are the same two lines, with and without `await`: as long as it `must_wait` a
    reader waits, unless that says that nothing will come, and then it takes what there is.
    """

    __slots__ = ("_feed",)

    def __init__(self, feed: Feed[T]) -> None:
        self._feed = feed

    def must_wait(self) -> bool:
        """Say whether there is nothing to take, but may be."""
        feed = self._feed
        return not (feed.items or feed.is_ended or feed.pump is None)

    def wait(self) -> Any:
        """Have the run go on until there is something; false at its end.

        To be awaited where the run is async.
        """
        assert self._feed.pump is not None
        return self._feed.pump.wait(self._feed)

    def take(self, end: type[Exception]) -> T:
        """Return the next item, or raise the error that there is instead, or the given end."""
        # Asked again: another thread may have put something before the end.
        if self._feed.items:
            return self._feed.take()
        raise self.error or end

    @property
    def error(self) -> BaseException | None:
        """What has ended the feed, None if it was no error."""
        raise NotImplementedError


class Pump:
    """What readers have in common, whichever way they wait."""

    def __init__(self) -> None:
        self.feeds: set[Feed[Any]] = set()
        """Everybody who reads."""
        self.limited: set[Feed[Any]] = set()
        """Those whose feeds may fill up."""
        self.mark = object()
        """What the nodes of the run have in their context: not the pump, or a run that nobody
        refers to would be kept by its nodes."""

    def admit(self, feed: Feed[Any]) -> None:
        """Take note of a new reader."""
        self.feeds.add(feed)
        feed.reader = self.here()
        if feed.limit is not None:
            self.limited.add(feed)

    def dismiss(self, feed: Feed[Any]) -> None:
        """Take note that a reader has gone: it holds nobody back any more."""
        self.feeds.discard(feed)
        if feed in self.limited:
            self.limited.discard(feed)
            self.recheck()

    def is_held_back(self) -> bool:
        """Say whether the run must wait for a slow reader.

        One who waits for the run itself, or is gone for good, would never read what is there.
        """
        # A copy, because readers in other threads come and go.
        return any(feed.is_full and self.is_busy(feed.reader) for feed in tuple(self.limited))

    def here(self) -> object:
        """Return the thread or asyncio task this is called in."""
        raise NotImplementedError

    def is_busy(self, reader: object) -> bool:
        """Say whether a reader lives and does not wait for the run."""
        raise NotImplementedError

    def wake(self, feed: Feed[Any]) -> None:
        """Let the reader of a feed go on."""

    def recheck(self) -> None:
        """Look again at whether the run is held back."""

    def wait(self, feed: Feed[Any]) -> Any:
        """Have the run go on until there is something for a reader; false at its end.

        To be awaited where the run is async.
        """
        raise NotImplementedError

    def pull(self) -> Any:
        """Have the run go on by at least one event; false at its end.

        To be awaited where the run is async.
        """
        raise NotImplementedError


class PlainPump(Pump):
    """A pump that is only a function, for a mux whose events somebody else provides."""

    def __init__(self, pull: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
        super().__init__()
        self._pull = pull

    def here(self) -> object:
        """Return nothing: no reader is ever waited for."""
        return None

    def is_busy(self, reader: object) -> bool:
        """Say no."""
        return False

    def wait(self, feed: Feed[Any]) -> Any:
        """Call the function."""
        return self._pull()

    def pull(self) -> Any:
        """Call the function."""
        return self._pull()


_marks: ContextVar[tuple[object, ...]] = ContextVar("millstream_marks", default=())


def mark_within(pump: Pump) -> None:
    """Mark the current context as inside a pump's run: its nodes get copies of it."""
    _marks.set((*_marks.get(), pump.mark))


def is_within(pump: Pump) -> bool:
    """Say whether this code is part of what the pump carries on."""
    return pump.mark in _marks.get()


class HasPump(Protocol):
    """Something of a run, a mux."""

    @property
    def pump(self) -> Pump | None:
        """What carries the run on."""


_homes: ContextVar[tuple[HasPump, ...]] = ContextVar("millstream_homes", default=())


def beside_the_run(home: HasPump | None, start: Callable[[], T]) -> T:
    """Call a function in a context that is not part of a run, though its end waits for it."""
    ambient = copy_context()
    # Without the marks it may read the run, which to its nodes is refused.
    ambient.run(_marks.set, ())
    if home is not None:
        ambient.run(_homes.set, (*_homes.get(), home))
    return ambient.run(start)


def is_beside(pump: Pump) -> bool:
    """Say whether this code is what the end of a run waits for, and cannot wait for it."""
    return any(home.pump is pump for home in _homes.get())
