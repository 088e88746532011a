"""TCP links that can be cut: bytes vanish in either direction, and nobody is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final

_PIECE: Final = 65536


class Gate:
    """Both directions of what goes through; those that are shut keep what comes."""

    def __init__(self) -> None:
        self.forth, self.back = asyncio.Event(), asyncio.Event()
        self.open()

    def open(self) -> None:
        """Let everything through."""
        self.forth.set()
        self.back.set()

    def shut(self, directions: tuple[str, ...]) -> None:
        """Let nothing through in some directions: `forth`, `back`."""
        for direction in directions:
            getattr(self, direction).clear()

    async def is_open(self) -> None:
        """Return when both directions are open."""
        while not (self.forth.is_set() and self.back.is_set()):
            await self.forth.wait()
            await self.back.wait()


class Carried:
    """One connection through a link."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._client = client
        self._server = server
        self._is_cut = asyncio.Event()

    async def carry(self, gate: Gate) -> None:
        """Carry bytes until one end is closed, or it is cut."""
        tasks = [
            asyncio.create_task(_pump(self._client[0], self._server[1], gate.forth)),
            asyncio.create_task(_pump(self._server[0], self._client[1], gate.back)),
            asyncio.create_task(self._is_cut.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # What is closed in order is closed by now.
            for _, writer in (self._client, self._server):
                _reset(writer)

    def cut(self) -> None:
        """Reset both ends, whatever is under way."""
        self._is_cut.set()


def _reset(writer: asyncio.StreamWriter) -> None:
    held = writer.get_extra_info("socket")
    with suppress(OSError):
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            await gate.wait()
            writer.write(piece)
            await writer.drain()
        await gate.wait()
        # What was written before goes out.
        writer.close()
        await writer.wait_closed()


class Link:
    """Listens in the place of a server, and passes on what comes."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.gate: Final = Gate()
        self._target = target
        self._carried: set[Carried] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str) -> int:
        """Begin, on a port that is returned."""
        self._server = await asyncio.start_server(self._accept, host, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """End, and reset what is carried."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Reset all connections, as a network does that has forgotten them."""
        for carried in tuple(self._carried):
            carried.cut()

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._carried)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.gate.is_open()
            server = await asyncio.open_connection(*self._target)
            carried = Carried((reader, writer), server)
            self._carried.add(carried)
            try:
                await carried.carry(self.gate)
            finally:
                self._carried.discard(carried)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
