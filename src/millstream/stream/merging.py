"""Several channels read as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.stream.pump import Feed

if TYPE_CHECKING:
    from millstream.stream.pump import Pump
    from millstream.stream.stream_channel import StreamChannel


class Merged:
    """The items of several channels in the order in which they come, as `(name, item)`.

    The smallest `maxlen` among the channels counts for all of them together.
    """

    def __init__(self, channels: Mapping[str, StreamChannel[Any]], pump: Pump | None) -> None:
        limits = [each.maxlen for each in channels.values() if each.maxlen is not None]
        for name, channel in channels.items():
            if channel._is_taken:
                raise RuntimeError(
                    f"StreamChannel {name!r} already has a subscriber; use .tee(n) for fan-out."
                )
        self._channels = channels
        self._feed: Feed[tuple[str, Any]] = Feed(min(limits, default=None), pump)
        self._open = len(channels)
        for name, channel in channels.items():
            channel._subscribe([_Label(name, self)])
        if not channels:
            self._feed.end()

    def put(self, name: str, item: Any) -> None:
        """Take an item of a channel."""
        self._feed.put((name, item))

    def note_end(self) -> None:
        """Take note that one of the channels has ended."""
        self._open -= 1
        if not self._open:
            self._feed.end()

    def leave(self) -> None:
        """Let others read the channels."""
        for channel in self._channels.values():
            channel._release()
        self._feed.leave()

    @property
    def _error(self) -> BaseException | None:
        errors = (channel._error for channel in self._channels.values())
        return next((error for error in errors if error is not None), None)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        feed = self._feed
        while True:
            while feed.items:
                yield feed.take()
            if feed.is_ended or feed.pump is None:
                break
            if not feed.pump.wait(feed) and not feed.items and not feed.is_ended:
                return
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[tuple[str, Any]]:
        feed = self._feed
        while True:
            while feed.items:
                yield feed.take()
            if feed.is_ended or feed.pump is None:
                break
            if not await feed.pump.wait(feed) and not feed.items and not feed.is_ended:
                return
        if self._error is not None:
            raise self._error


class _Label:
    """Says which channel an item comes from."""

    __slots__ = ("_merged", "_name")

    def __init__(self, name: str, merged: Merged) -> None:
        self._name = name
        self._merged = merged

    def put(self, item: Any) -> None:
        """Take an item."""
        self._merged.put(self._name, item)

    def end(self) -> None:
        """Take note that no more will come."""
        self._merged.note_end()

    def leave(self) -> None:
        """Take note that the reader has gone."""
