"""Several channels read as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.stream._readers.pump import Feed, FeedReader

if TYPE_CHECKING:
    from millstream.stream._readers.pump import Pump
    from millstream.stream.stream_channel import StreamChannel


class MergedChannels(FeedReader[tuple[str, Any]]):
    """The items of several channels in the order in which they come, as `(name, item)`.

    The smallest `maxlen` among the channels counts for all of them together.
    """

    def __init__(self, channels: Mapping[str, StreamChannel[Any]], pump: Pump | None) -> None:
        limits = [each.maxlen for each in channels.values() if each.maxlen is not None]
        for name, channel in channels.items():
            # All are looked at before any is taken: who is refused has changed nothing.
            if channel._is_taken:
                raise RuntimeError(
                    f"StreamChannel {name!r} already has a subscriber; use .tee(n) for fan-out."
                )
        super().__init__(Feed(min(limits, default=None), pump))
        self._channels = channels
        self._open = len(channels)
        for name, channel in channels.items():
            channel._subscribe([_Label(name, self)])
        # Of nothing there is nothing to wait for.
        if not channels:
            self._feed.end()

    def put(self, name: str, item: Any) -> None:
        """Take an item of a channel."""
        self._feed.put((name, item))

    def record_end(self) -> None:
        """Take note that one of the channels has ended."""
        self._open -= 1
        if not self._open:
            self._feed.end()

    def leave(self) -> None:
        """Let others read the channels, from what was not read here."""
        unread = list(self._feed.items)
        for name, channel in self._channels.items():
            channel._release([item for label, item in unread if label == name])
        self._feed.leave()

    @property
    def error(self) -> BaseException | None:
        """What one of the channels has failed with."""
        errors = (channel._raised() for channel in self._channels.values())
        return next((error for error in errors if error is not None), None)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self

    def __next__(self) -> tuple[str, Any]:
        while self.must_wait() and self.wait():
            pass
        return self.take(StopIteration)

    async def anext(self) -> tuple[str, Any]:
        """Return the next item, in an async run."""
        while self.must_wait() and await self.wait():
            pass
        return self.take(StopAsyncIteration)


class AsyncMergedChannels:
    """An iterator over `MergedChannels` that is begun when the first item is asked for.

    No generator: dropped, one would let go of its channels only when the event loop closes it.
    """

    def __init__(self, begin: Callable[[], MergedChannels]) -> None:
        self._begin = begin
        self._merged: MergedChannels | None = None
        self._is_over = False

    def __aiter__(self) -> AsyncIterator[tuple[str, Any]]:
        return self

    async def __anext__(self) -> tuple[str, Any]:
        if self._is_over:
            raise StopAsyncIteration
        try:
            if self._merged is None:
                self._merged = self._begin()
            return await self._merged.anext()
        # The end, an error or a cancellation: in each case others may read the channels.
        except BaseException:
            self._leave()
            raise

    async def aclose(self) -> None:
        """Go away: let others read the channels."""
        self._leave()

    def _leave(self) -> None:
        merged, self._merged = self._merged, None
        self._is_over = True
        if merged is not None:
            merged.leave()

    def __del__(self) -> None:
        self._leave()


class _Label:
    """Says which channel an item comes from."""

    __slots__ = ("_merged", "_name")

    def __init__(self, name: str, merged: MergedChannels) -> None:
        self._name = name
        self._merged = merged

    def put(self, item: Any) -> None:
        """Take an item."""
        self._merged.put(self._name, item)

    def end(self) -> None:
        """Take note that no more will come."""
        self._merged.record_end()

    def leave(self) -> None:
        """Take note that the reader has gone."""
