"""Pieces of messages that come together are taken together, and nobody misses anything by it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from millstream.stream import CustomTransformer, MessagesTransformer, StreamMux, ValuesTransformer
from millstream.stream._readers.async_pump import BURST
from millstream.stream.run_stream import AsyncGraphRunStream

pytestmark = pytest.mark.timeout(20)


def part(mode: str, data: Any) -> dict[str, Any]:
    return {"type": mode, "ns": (), "data": data}


def said(event: str, **fields: Any) -> dict[str, Any]:
    return part("messages", ({"event": event, **fields}, {"run_id": "1"}))


OPENING = [
    said("message-start", role="ai", id="m"),
    said("content-block-start", index=0, content={"type": "text", "text": ""}),
]


def piece(text: str) -> dict[str, Any]:
    return said("content-block-delta", index=0, delta={"type": "text-delta", "text": text})


CLOSING = [
    said("content-block-finish", index=0, content={"type": "text", "text": "ab"}),
    said("message-finish"),
]


class Source:
    """Parts that come without a pause, counted as they are taken."""

    def __init__(self, parts: Iterable[dict[str, Any]]) -> None:
        self.parts = parts
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        for each in self.parts:
            self.taken += 1
            yield each

    def open(self) -> AsyncGraphRunStream:
        """Return a run stream of the parts."""
        factories = [ValuesTransformer, MessagesTransformer, CustomTransformer]
        return AsyncGraphRunStream(aiter(self), StreamMux(factories=factories, is_async=True))


async def first_piece(run: AsyncGraphRunStream) -> tuple[Any, AsyncIterator[str]]:
    """Read until the first piece of the first message; return the message and the rest of it."""
    message = await anext(aiter(run.messages))
    text = aiter(message.text)
    assert await anext(text) == "a"
    return message, text


def test_who_was_woken_by_a_piece_sees_what_comes_after_it() -> None:
    source = Source([*OPENING, piece("a"), piece("b"), part("custom", 1), *CLOSING])

    async def scenario() -> None:
        run = source.open()
        message, text = await first_piece(run)
        custom = aiter(run.custom)

        assert [each async for each in custom] == [1]
        assert [each async for each in text] == ["b"]
        assert await message.text == "ab"

    asyncio.run(scenario())


def test_what_comes_after_a_piece_waits_for_the_next_reader() -> None:
    source = Source([*OPENING, piece("a"), part("custom", 1), part("custom", 2), *CLOSING])

    async def scenario() -> None:
        run = source.open()
        await first_piece(run)
        for _ in range(10):
            await asyncio.sleep(0)
        taken = source.taken

        assert taken <= len(OPENING) + 2
        assert [each async for each in run.custom] == [1, 2]

    asyncio.run(scenario())


def test_the_log_has_all_pieces_in_their_order() -> None:
    texts = [str(number) for number in range(3 * BURST + 1)]
    source = Source([*OPENING, *map(piece, texts), *CLOSING])

    async def scenario() -> None:
        run = source.open()
        events = [event async for event in run]

        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        deltas = [event["params"]["data"][0].get("delta") for event in events]
        assert [delta["text"] for delta in deltas if delta] == texts

    asyncio.run(scenario())


def test_endless_pieces_leave_the_readers_their_turns() -> None:
    source = Source(itertools.chain(OPENING, map(piece, itertools.repeat("a"))))

    async def scenario() -> None:
        run = source.open()
        await first_piece(run)
        await run.abort()

        assert source.taken <= len(OPENING) + 2 * BURST
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
