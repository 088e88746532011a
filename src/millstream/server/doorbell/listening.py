"""One connection that listens. While nobody rings, nothing of it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from psycopg import AsyncConnection


class Ear:
    """Hears what is sent to a channel, as long as its connection is there."""

    def __init__(
        self, connection: AsyncConnection[Any], heard: Callable[[Sequence[str]], None]
    ) -> None:
        """Take a connection that nobody else uses; `heard` gets the payloads that have come."""
        self._connection = connection
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._socket: int | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Resolved when the connection is gone."""

    async def listen(self, channel: str) -> None:
        """Begin."""
        # For those that come along with an answer.
        self._connection.add_notify_handler(lambda notify: self._heard([notify.payload]))
        await self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._socket = self._connection.pgconn.socket
        # The loop itself looks at the socket: psycopg's own iterator wakes up again and again.
        self._loop.add_reader(self._socket, self._read)
        self._read()

    def stop(self) -> None:
        """Hear no more."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket = None

    def _read(self) -> None:
        payloads: list[str] = []
        server = self._connection.pgconn
        try:
            server.consume_input()
            while (notify := server.notifies()) is not None:
                payloads.append(notify.extra.decode(errors="replace"))
        except psycopg.Error:
            self.stop()
            if not self.lost.done():
                self.lost.set_result(None)
        if payloads:
            self._heard(payloads)
