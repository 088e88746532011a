"""Connections whose requests do not come, or come without end: closed, to have room for others."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

SLOWEST: Final = 1024
"""Bytes of a body that give it another second."""
_MOST_OF_A_HEAD: Final = 1 << 20
"""Bytes from the beginning of a request to its body, and what of that has come with them."""
_PAUSE: Final = 0.5
"""Seconds between two looks at who is late."""
_FILES: Final = 65_536
"""Open files that are enough, where the system allows so many."""
_ANSWER: Final = (
    b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b'content-length: %d\r\n\r\n{"detail":"%b"}'
)


class Unfinished:
    """The connections of a server that a request is awaited from, the oldest first."""

    def __init__(self, seconds: float, most: int) -> None:
        """Wait so many seconds for a request, longer for the body of one that keeps coming.

        Where there are more than `most`, the oldest one makes room.
        """
        self._seconds = seconds
        self._most = most
        self._since: dict[PatientConnection, float] = {}
        self._is_looking = False

    def begin(self, connection: PatientConnection) -> None:
        """Wait for a request from now on."""
        loop = connection.loop
        self._since.setdefault(connection, loop.time())
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(_PAUSE, self._look, loop)
        if len(self._since) > self._most:
            oldest = next(iter(self._since))
            oldest.drop(b"408 Request Timeout", b"Others want to be served")

    def end(self, connection: PatientConnection) -> None:
        """Wait no more."""
        self._since.pop(connection, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close those that have had their time, and look again while there are others."""
        for connection, since in [*self._since.items()]:
            seconds = self._seconds + connection.body_bytes / SLOWEST
            # Where nobody reads, it is not the client who is slow.
            if loop.time() - since > seconds and not connection.flow.read_paused:
                connection.drop(b"408 Request Timeout", b"The request took too long to come")
        self._is_looking = bool(self._since)
        if self._is_looking:
            loop.call_later(_PAUSE, self._look, loop)


class PatientConnection(HttpToolsProtocol):
    """A connection that is waited for only so long, and gives only so much."""

    unfinished: Unfinished
    head_bytes = 0
    body_bytes = 0
    is_head_complete = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self.unfinished.begin(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come of a request, if that is no more than a request may be."""
        if not self.is_head_complete:
            self.head_bytes += len(data)
            if self.head_bytes > _MOST_OF_A_HEAD:
                what = b"The request has too long an address or too many headers"
                self.drop(b"431 Request Header Fields Too Large", what)
                return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self.unfinished.end(self)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        super().on_message_begin()
        self.head_bytes = self.body_bytes = 0
        self.is_head_complete = False
        self.unfinished.begin(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes behind the body is none, and nobody has looked at it."""
        if not self.is_head_complete:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        self.is_head_complete = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what has come."""
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the request."""
        self.unfinished.end(self)
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to another protocol."""
        self.unfinished.end(self)
        super().handle_websocket_upgrade()

    def drop(self, status: bytes, detail: bytes) -> None:
        """Close the connection, whose request is not waited for."""
        self.unfinished.end(self)
        cycle = self.cycle
        if self.is_head_complete:
            is_unanswered = not cycle.response_started and not self.pipeline
        else:
            # Of the request before.
            is_unanswered = cycle is None or cycle.response_complete
        if is_unanswered:
            self.transport.write(_ANSWER % (status, len(detail) + len(b'{"detail":""}'), detail))
        self.transport.close()


def patient(seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol of the connections of a server that waits so long for requests."""
    # Those whose requests do not come may have half of what there is.
    unfinished = Unfinished(seconds, most=room_for_files() // 2)
    return type("Connection", (PatientConnection,), {"unfinished": unfinished})


def room_for_files() -> int:
    """Let this process have as many open files as it may, and return how many."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return _FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
