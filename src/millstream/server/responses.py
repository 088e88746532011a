"""Responses that take as long as a run: event streams, and JSON that has to be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.responses import Response

from millstream.server.errors import CutError
from millstream.server.log.signal import Signal
from millstream.server.sse import HEARTBEAT

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

BEAT: Final = 5.0
"""Seconds between two signs of life. Clients derive from them when to give a connection up."""
EVENT_STREAM: Final = "text/event-stream; charset=utf-8"


class Source(Protocol):
    """What an event stream shows; read by one task."""

    @property
    def signal(self) -> Signal:
        """What is rung when there may be something."""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more, now and later."""

    async def take(self) -> bytes:
        """Return frames that are there now, nothing if there are none."""

    def close(self) -> None:
        """Stop reading."""


class LongResponse(Response):
    """A response that shows that it is alive, and notices when the client goes away."""

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        on_disconnect: Callable[[], object] | None = None,
        beat: float = BEAT,
    ) -> None:
        # Without that of the base: it has no body whose length is known.
        self.status_code = 200
        self.background = None
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in headers.items()
        ]
        self._on_disconnect = on_disconnect
        self._beat = beat
        self._is_gone = False
        self._is_due = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, and return when that is done or the client has gone."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def beat() -> None:
            nonlocal timer
            self._is_due = True
            self._signal().ring()
            timer = loop.call_at(self._next_beat(loop.time()), beat)

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self._is_gone = True
            self._signal().ring()

        watcher = loop.create_task(watch())
        timer = loop.call_at(self._next_beat(loop.time()), beat)
        try:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            await self._send(send)
            if not self._is_gone:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            # So servers other than uvicorn may say that the client has gone.
            self._is_gone = True
        except asyncio.CancelledError:
            self._is_gone = True
            raise
        finally:
            timer.cancel()
            watcher.cancel()
            is_unfinished = self._close()
            if self._is_gone and is_unfinished and self._on_disconnect is not None:
                self._on_disconnect()

    def _next_beat(self, now: float) -> float:
        """Return when to show a sign of life: many who wait do so in the same moments."""
        grain = self._beat / 5
        return (now + self._beat) // grain * grain

    def _signal(self) -> Signal:
        """Return what is rung when there may be something: that of what is read now."""
        raise NotImplementedError

    async def _send(self, send: Send) -> None:
        raise NotImplementedError

    def _close(self) -> bool:
        """Let go of what is read; say whether it had not ended."""
        raise NotImplementedError


class EventStream(LongResponse):
    """Server-sent events, what there is at a time in one write.

    A client that reads slowly is waited for in `send`; what comes meanwhile stays in the log.
    """

    def __init__(
        self,
        source: Source,
        headers: Mapping[str, str] | None = None,
        *,
        on_disconnect: Callable[[], object] | None = None,
        beat: float = BEAT,
        among: set[asyncio.Task[Any]] | None = None,
    ) -> None:
        """Show a source; `among` has the task that does so while it does."""
        super().__init__(
            {
                **(headers or {}),
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                "content-type": EVENT_STREAM,
            },
            on_disconnect=on_disconnect,
            beat=beat,
        )
        self._source = source
        self._among = set() if among is None else among

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, and return when that is done or the client has gone."""
        task = asyncio.current_task()
        assert task is not None
        self._among.add(task)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._among.discard(task)

    def _signal(self) -> Signal:
        return self._source.signal

    async def _send(self, send: Send) -> None:
        source = self._source
        while not self._is_gone:
            source.signal.clear()
            is_over = source.is_over  # asked first: what came before the end is there then
            try:
                body = await source.take()
            except CutError:
                # The connection ends in the middle, which no client takes for the end.
                self._is_gone = True
                return
            if self._is_due:
                self._is_due = False
                body += HEARTBEAT
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
            elif is_over:
                return
            elif not source.is_over and not self._is_gone:
                # Else it has found out just now, and nobody rings for that; nor for who has gone
                # while the source went on to what has another signal.
                await source.signal.wait()

    def _close(self) -> bool:
        is_over = self._source.is_over
        self._source.close()
        return not is_over


class AwaitedJson(LongResponse):
    """JSON that has to be waited for: line ends until it is there, which JSON may begin with."""

    def __init__(
        self,
        result: Callable[[], Awaitable[bytes]],
        headers: Mapping[str, str] | None = None,
        *,
        on_disconnect: Callable[[], object] | None = None,
        beat: float = BEAT,
    ) -> None:
        super().__init__(
            {**(headers or {}), "content-type": "application/json"},
            on_disconnect=on_disconnect,
            beat=beat,
        )
        self._result = result
        self._task: asyncio.Future[bytes] | None = None
        self._waited = Signal()

    def _signal(self) -> Signal:
        return self._waited

    async def _send(self, send: Send) -> None:
        signal = self._waited
        task = self._task = asyncio.ensure_future(self._result())
        task.add_done_callback(lambda _: signal.ring())
        while not self._is_gone:
            signal.clear()
            if task.done():
                body = task.result()
                await send({"type": "http.response.body", "body": body, "more_body": True})
                return
            if self._is_due:
                self._is_due = False
                await send({"type": "http.response.body", "body": b"\n", "more_body": True})
            await signal.wait()

    def _close(self) -> bool:
        task = self._task
        if task is None or task.done():
            return task is None
        task.cancel()
        return True
