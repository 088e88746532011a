"""Channels that a package makes for itself, and gives a way to carry the run on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from millstream.compat import pulling
from millstream.stream._events.mux import StreamMux
from millstream.stream.stream_channel import StreamChannel

pulling.apply()


def _channel(*, is_async: bool) -> StreamChannel[int]:
    channel: StreamChannel[int] = StreamChannel()
    channel._bind(is_async=is_async)
    return channel


def _set(channel: StreamChannel[int], name: str, pull: Callable[[], Any]) -> None:
    setattr(channel, name, pull)


def _last_three(channel: StreamChannel[int]) -> Callable[[], bool]:
    left = [3, 2, 1]

    def pull() -> bool:
        channel.push(left.pop())
        if not left:
            channel.close()
        return bool(left)

    return pull


def test_a_reader_pulls_with_the_function_it_was_given() -> None:
    channel = _channel(is_async=False)
    pull = _last_three(channel)
    _set(channel, "_request_more", pull)

    assert list(channel) == [1, 2, 3]


def test_an_async_reader_awaits_the_function_it_was_given() -> None:
    channel = _channel(is_async=True)
    pull = _last_three(channel)

    async def apull() -> bool:
        await asyncio.sleep(0)
        return pull()

    async def read() -> list[int]:
        given: Callable[[], Awaitable[bool]] = apull
        _set(channel, "_arequest_more", given)
        return [item async for item in channel]

    assert asyncio.run(read()) == [1, 2, 3]


def test_a_runs_own_function_stands_for_its_pump() -> None:
    """So that the run knows who reads, and holds back for slow readers."""
    channel = _channel(is_async=False)
    mux = StreamMux()
    mux.bind_pump(lambda: False)
    assert mux.pump is not None

    _set(channel, "_request_more", mux.pump.pull)

    assert channel._pump is mux.pump
    assert vars(StreamChannel)["_request_more"].fget(channel) == mux.pump.pull


def test_nothing_to_pull_with_changes_nothing() -> None:
    channel = _channel(is_async=False)
    pull = _last_three(channel)
    _set(channel, "_request_more", pull)

    channel._arequest_more = None  # type: ignore[attr-defined]

    assert list(channel) == [1, 2, 3]
