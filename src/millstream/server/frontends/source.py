"""`EncodedSource`: the stream of a run, said in the protocol of a front end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from millstream.constants import INTERRUPT
from millstream.modes.names import UPDATES
from millstream.server.frontends.events import protocol_events
from millstream.server.log.repeats import LIFECYCLE
from millstream.server.log.run_log import ERROR, METADATA
from millstream.server.sse import events_in

if TYPE_CHECKING:
    from millstream.protocols.running import Encoder
    from millstream.server.log.signal import Signal
    from millstream.server.responses import Source


class Telling:
    """Has an encoder say the events of a run, and knows at last how it has ended. Without I/O."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._error: str | None = None
        self._code: str | None = None
        self._is_done = False
        """It has come to its end, or to a question: nobody has stopped it."""

    def begin(self) -> str:
        """Return what is said first."""
        return self._encoder.begin()

    def tell(self, name: str, data: Any) -> str:
        """Return what an event of the run says."""
        if name == ERROR:
            self._code = data.get("error")
            self._error = f"{data.get('error', 'Error')}: {data.get('message', '')}"
        elif name == METADATA and data.get("attempt", 1) > 1:
            return self._encoder.restart()
        elif _tells_end(name, data):
            self._is_done = True
        return "".join(map(self._encoder.encode, protocol_events(name, data)))

    def end(self) -> str:
        """Return what is said when the run has ended."""
        is_cancelled = self._error is None and not self._is_done
        return self._encoder.end(self._error, code=self._code, is_cancelled=is_cancelled)


async def follow(events: AsyncIterator[tuple[str, Any]], encoder: Encoder) -> None:
    """Have an encoder say all of a run, which knows at last what it has come to."""
    telling = Telling(encoder)
    telling.begin()
    async for name, data in events:
        telling.tell(name, data)
    telling.end()


def _tells_end(name: str, data: Any) -> bool:
    """Say whether an event tells that a run has come to its end, or to a question."""
    if name == LIFECYCLE:
        return bool(data.get("event") == "completed")
    return name == UPDATES and isinstance(data, dict) and INTERRUPT in data


class EncodedSource:
    """A run, read from its first event on, as the lines of a protocol."""

    def __init__(self, source: Source, encoder: Encoder) -> None:
        self._source = source
        self._telling = Telling(encoder)
        self._has_begun = False
        self._has_ended = False

    @property
    def signal(self) -> Signal:
        """What is rung when there may be something."""
        return self._source.signal

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more: the end was said, too."""
        return self._has_ended

    async def take(self) -> bytes:
        """Return lines that are there now, nothing if there are none."""
        if not self._has_begun:
            self._has_begun = True
            if begun := self._telling.begin():
                return begun.encode()
        while not self._has_ended:
            is_over = self._source.is_over  # asked first: what came before the end is there then
            frames = await self._source.take()
            if not frames:
                if is_over:
                    self._has_ended = True
                    return self._telling.end().encode()
                if not self._source.is_over:
                    return b""
            # What a run says may be nothing in the protocol.
            elif said := self._said(frames):
                return said
        return b""

    def close(self) -> None:
        """Stop reading."""
        self._source.close()

    def _said(self, frames: bytes) -> bytes:
        tell = self._telling.tell
        return "".join(tell(name, data) for name, data in events_in(frames)).encode()


class Successive:
    """Runs of a thread one after the other, as the lines of a protocol that has a form for that."""

    def __init__(self, first: Source, then: Callable[[], Awaitable[Source | None]]) -> None:
        """Show a run, and those that `then` returns when the one before has ended."""
        self._source = first
        self._then = then
        self._has_ended = False

    @property
    def signal(self) -> Signal:
        """What is rung when there may be something; each run has its own."""
        return self._source.signal

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more: the end of the last one was said, too."""
        return self._has_ended

    async def take(self) -> bytes:
        """Return lines that are there now, nothing if there are none."""
        while not self._has_ended:
            said = await self._source.take()
            if said or not self._source.is_over:
                return said
            following = await self._then()
            self._source.close()
            if following is None:
                self._has_ended = True
            else:
                self._source = following
        return b""

    def close(self) -> None:
        """Stop reading."""
        self._source.close()
