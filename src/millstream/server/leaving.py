"""How a server lets go of its connections, so that who uses them loses no request.

Whoever connects when nobody listens is refused, has sent nothing, and goes to another server. What
is lost is what was sent to somebody who has just gone: into a connection that nobody had taken yet,
or into one that was kept for the next request.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PAUSE: Final = 0.05
"""Seconds between two looks at connections."""
_CLOSE: Final = (b"connection", b"close")
_SETTLING: Final = 0.1
"""Seconds in which a connection that is being made becomes one: a way there and back."""
_TURNS: Final = 5
"""Turns of the loop in which a connection that it has taken gets its protocol."""
_SO_ATTACH_FILTER: Final = 26
_NO_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte of a segment's flags
    (0x54, 0, 0, 0x12),  # of them SYN and ACK
    (0x15, 1, 0, 0x02),  # go on with the last step where it is SYN alone
    (0x06, 0, 0, 0xFFFFFFFF),  # take it, and all of it
    (0x06, 0, 0, 0),  # take nothing of it
)
"""A program for Linux' packet filter, which drops what connections begin with."""


class Closing:
    """An application whose answers end their connections, once it is to end.

    Not those whose length is not known, streams say: some clients take one of these that breaks off
    for a whole one where its connection was going to be closed.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._has_begun = False

    def begin(self) -> None:
        """Have whoever sends requests look for another server from now on."""
        self._has_begun = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def closing(message: Message) -> None:
            if self._has_begun and message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if any(name.lower() == b"content-length" for name, _ in headers):
                    message = {**message, "headers": [*headers, _CLOSE]}
            await send(message)

        await self._application(scope, receive, closing if scope["type"] == "http" else send)


async def stop_accepting(server: uvicorn.Server, sockets: Iterable[socket.socket]) -> None:
    """Take the connections that were made, and no more."""
    ignoring = [_ignore_new(listening) for listening in sockets]
    if any(ignoring):
        await asyncio.sleep(_SETTLING)
    made: list[socket.socket] = []
    for listening in sockets:
        listening.setblocking(False)
        # Nobody is left, or files are: then it is the system that lets go of the rest.
        with suppress(OSError):
            while True:
                made.append(listening.accept()[0])
    # At once, in the same turn of the loop.
    for each in server.servers:
        each.close()
    for listening in sockets:
        listening.close()
    loop = asyncio.get_running_loop()
    for connection in made:
        # One whose client has gone is no reason to lose the others.
        with suppress(OSError):
            await loop.connect_accepted_socket(lambda: _protocol(server), connection)
    # Those that the loop itself has taken are known to the server some turns later.
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _ignore_new(listening: socket.socket) -> bool:
    """Have the system answer nobody who begins to connect; say whether it can.

    Who has connected and was not taken yet is reset when the socket is closed, and may have sent
    something. So nobody does any more: who is not answered asks again after a second, and is then
    refused.
    """
    if sys.platform != "linux" or listening.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    program = b"".join(struct.pack("=HBBI", *step) for step in _NO_SYN)
    code = ctypes.create_string_buffer(program, len(program))
    given = struct.pack("@HP", len(_NO_SYN), ctypes.addressof(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, given)
    except OSError:
        return False
    return True


async def no_longer_kept(server: uvicorn.Server, seconds: float) -> None:
    """Wait until no connection is kept that nobody uses, or it has been so many seconds.

    What is asked on one of them is answered, and ends it. Proxies let go of those that they do not
    use, and so does the server.
    """
    for _ in range(round(seconds / _PAUSE)):
        if not any(map(_is_idle, server.server_state.connections)):
            break
        await asyncio.sleep(_PAUSE)


def _protocol(server: uvicorn.Server) -> Any:
    make: Any = server.config.http_protocol_class
    return make(
        config=server.config, server_state=server.server_state, app_state=server.lifespan.state
    )


def _is_idle(connection: Any) -> bool:
    cycle = getattr(connection, "cycle", None)
    if cycle is None:
        # Nothing was asked yet; a WebSocket has none.
        return hasattr(connection, "cycle")
    return bool(cycle.response_complete)
