"""How a server lets go of its connections, so that who uses them loses no request.

Whoever connects when nobody listens is refused, has sent nothing, and goes to another server. What
is lost is what was sent to somebody who has just gone: into a connection that nobody had taken yet,
or into one that was kept for the next request.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PAUSE: Final = 0.05
"""Seconds between two looks at connections."""
_CLOSE: Final = (b"connection", b"close")


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
    made: list[socket.socket] = []
    for listening in sockets:
        listening.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                made.append(listening.accept()[0])
    # At once, in the same turn of the loop.
    for each in server.servers:
        each.close()
    for listening in sockets:
        listening.close()
    loop = asyncio.get_running_loop()
    for connection in made:
        await loop.connect_accepted_socket(lambda: _protocol(server), connection)


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
