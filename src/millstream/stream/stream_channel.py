"""`StreamChannel`: items on their way from a transformer to their reader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from millstream.stream._readers.pump import Feed, FeedReader

if TYPE_CHECKING:
    from types import TracebackType

    from millstream.stream._readers.pump import Pump, Sink

T = TypeVar("T")


class StreamChannel(Generic[T]):
    """A stream of items that has one reader, who drives the run by reading.

    Only what is pushed after the reader has come is kept for it. `maxlen` says how many items may
    wait to be read: a channel that holds so many holds back the run until its reader takes some,
    goes away, or waits for something else of the run itself.

    A channel with a name, in a registered transformer, also writes to the run's event log.
    """

    def __init__(self, name: str | None = None, *, maxlen: int | None = None) -> None:
        if maxlen is not None and maxlen <= 0:
            raise ValueError("StreamChannel maxlen must be a positive int or None")
        self.name = name
        self.maxlen = maxlen
        self._is_async: bool | None = None
        self._pump: Pump | None = None
        self._forward: Callable[[T], None] | None = None
        self._sinks: list[Sink] = []
        self._is_taken = False
        self._closed = False
        self._is_abandoned = False
        self._returned: list[T] = []
        """What a reader who went away had not read yet."""
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        reader = "being read" if self._sinks else "without a reader"
        return f"<{type(self).__name__}{name}: {'closed' if self._closed else f'open, {reader}'}>"

    @property
    def is_subscribed(self) -> bool:
        """Whether somebody reads the channel now."""
        return bool(self._sinks)

    def _bind(self, *, is_async: bool) -> None:
        """Decide for one of `for` and `async for`."""
        self._is_async = is_async

    def _bind_pump(self, pump: Pump) -> None:
        self._pump = pump

    def _wire(self, forward: Callable[[T], None]) -> None:
        """Have each item given to a function as well."""
        self._forward = forward

    def push(self, item: T) -> None:
        """Hand an item to the reader, if there is one; `RuntimeError` once the channel is closed.

        Never waits: a full channel makes the run wait before its next event.
        """
        if self._closed:
            # Where nobody could have read it the item is not missed.
            is_missed = self._is_taken or self._forward is not None
            if is_missed and not self._is_abandoned:
                raise RuntimeError("Cannot push to a closed StreamChannel")
            return
        for sink in tuple(self._sinks):  # readers in other threads come and go
            sink.put(item)
        if self._forward is not None:
            self._forward(item)

    def close(self) -> None:
        """End the channel; its reader gets what is still there. Called by the mux."""
        if not self._closed:
            self._closed = True
            for sink in tuple(self._sinks):
                sink.end()

    def fail(self, err: BaseException) -> None:
        """End the channel with an error, after what is still there. Called by the mux."""
        if not self._closed:
            # The trace is kept, because each reader that raises the error adds to it.
            self._error, self._trace = err, err.__traceback__
            self.close()

    def _abandon(self) -> None:
        """End the channel for its reader, and let whoever pushes go on."""
        self._is_abandoned = True
        self.close()

    def _raised(self) -> BaseException | None:
        """Return the error as it was raised, without the traces of readers who got it before."""
        return None if self._error is None else self._error.with_traceback(self._trace)

    def __iter__(self) -> Iterator[T]:
        return self.tee(1)[0]

    def __aiter__(self) -> AsyncIterator[T]:
        return self.atee(1)[0]

    def tee(self, n: int = 2) -> tuple[Iterator[T], ...]:
        """Return `n` iterators that each get every item; `maxlen` counts for the slowest."""
        self._require(is_async=False)
        return tuple(Cursor(self, feed) for feed in self._branches(n, "tee"))

    def atee(self, n: int = 2) -> tuple[AsyncIterator[T], ...]:
        """Return `n` async iterators that each get every item; see `tee`."""
        self._require(is_async=True)
        return tuple(AsyncCursor(self, feed) for feed in self._branches(n, "atee"))

    def _branches(self, n: int, name: str) -> list[Feed[T]]:
        if n < 1:
            raise ValueError(f"{name}() requires n >= 1")
        self._require_free()
        feeds: list[Feed[T]] = [Feed(self.maxlen, self._pump) for _ in range(n)]
        self._subscribe(feeds)
        return feeds

    def _require(self, *, is_async: bool) -> None:
        if self._is_async is None:
            raise TypeError(
                "StreamChannel has not been bound yet. Register the transformer with a StreamMux "
                "first."
            )
        if self._is_async is not is_async:
            mode, loop = ("async", "async for") if self._is_async else ("sync", "for")
            raise TypeError(f"This StreamChannel is bound to {mode} mode — use '{loop}' instead.")

    def _require_free(self) -> None:
        if self._is_taken:
            fan_out = ".atee(n)" if self._is_async else ".tee(n)"
            raise RuntimeError(
                f"StreamChannel already has a subscriber; use {fan_out} for fan-out."
            )

    def _subscribe(self, sinks: Sequence[Sink]) -> None:
        """Begin to keep items: each of the sinks gets all of them."""
        self._require_free()
        self._is_taken = True
        # What an earlier reader has left comes first: to its successor nothing is missing.
        returned, self._returned = self._returned, []
        for sink in sinks:
            for item in returned:
                sink.put(item)
        self._sinks += sinks
        if self._closed:
            for sink in sinks:
                sink.end()

    def _watch(self, sink: Sink) -> None:
        """Tell one more sink of everything, which does not count as the reader."""
        self._sinks.append(sink)
        if self._closed:
            sink.end()

    def _unsubscribe(self, sink: Sink) -> None:
        """Keep nothing more for a reader that has gone."""
        # A reader may go away twice: when it is closed, and when it is dropped.
        if sink in self._sinks:
            self._sinks.remove(sink)
        sink.leave()

    def _release(self, unread: Sequence[T]) -> None:
        """Let somebody else read the channel, from what was not read."""
        for sink in list(self._sinks):
            self._unsubscribe(sink)
        self._returned = list(unread)
        self._is_taken = False


class _ChannelReader(FeedReader[T]):
    """The reader's end of a channel."""

    __slots__ = ("_channel",)

    def __init__(self, channel: StreamChannel[T], feed: Feed[T]) -> None:
        super().__init__(feed)
        self._channel = channel

    @property
    def error(self) -> BaseException | None:
        """What the channel has failed with."""
        return self._channel._raised()

    def _leave(self) -> None:
        self._channel._unsubscribe(self._feed)

    def __del__(self) -> None:
        self._leave()


class Cursor(_ChannelReader[T]):
    """Reads a channel in a thread."""

    __slots__ = ()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        while self.must_wait() and self.wait():
            pass
        return self.take(StopIteration)

    def close(self) -> None:
        """Go away: nothing more is kept for this reader."""
        self._leave()


class AsyncCursor(_ChannelReader[T]):
    """Reads a channel of an async run in a task."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while self.must_wait() and await self.wait():
            pass
        return self.take(StopAsyncIteration)

    async def aclose(self) -> None:
        """Go away: nothing more is kept for this reader."""
        self._leave()
