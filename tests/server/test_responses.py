"""Responses that take as long as a run, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

from millstream.server.log.signal import Signal
from millstream.server.responses import EventStream


class LearnsOfItsEnd:
    """A source that knows only after it was asked that there is nothing more."""

    def __init__(self) -> None:
        self.signal = Signal()
        self.is_over = False

    async def take(self) -> bytes:
        self.is_over = True
        return b""

    def close(self) -> None:
        """Stop reading."""


def test_a_stream_ends_when_its_source_finds_out_that_there_is_nothing_more() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        # No heartbeat within the test: nothing but the end itself lets the stream go on.
        stream = EventStream(LearnsOfItsEnd(), beat=3600)
        never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await asyncio.wait_for(stream({"type": "http"}, lambda: never, send), 5)

    asyncio.run(main())

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_signs_of_life_for_many_come_in_the_same_moments_and_in_time() -> None:
    async def main() -> None:
        stream = EventStream(LearnsOfItsEnd(), beat=5.0)
        # Those who come within a fifth of the time between two.
        assert len({stream._next_beat(1000 + n / 20) for n in range(20)}) == 1
        for n in range(1000):
            now = 1000 + n * 0.0317
            assert 4.0 < stream._next_beat(now) - now <= 5.0

    asyncio.run(main())
