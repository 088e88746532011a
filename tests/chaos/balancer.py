"""A balancer before the replicas: a connection goes to any that is ready.

Clients in Python make a new one for each request, so that what they ask next is answered elsewhere.
Those in JavaScript cannot, and a response with `connection: close` that breaks off would be a whole
one to `fetch`: they find the balancer at several addresses, with connections to each.

It asks each replica all the time whether it is ready. One that says that it is not gets no new
connections; one that does not answer loses those that it has, as with `on-marked-down
shutdown-sessions` of haproxy: a client would otherwise wait for as long as the network is gone.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final, Literal

from chaos.links import Carried, Gate
from listening import free_port

State = Literal["ready", "unready", "gone"]
EVERY: Final = 0.5
"""Seconds between two questions."""
PATIENCE: Final = 1.5
"""Seconds that a replica has to answer."""
FALLS: Final = 2
"""So many questions without an answer make it gone."""
ADDRESSES: Final = 8
"""From 127.0.0.1 on."""
_NONE: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Backend:
    """A replica as the balancer sees it."""

    def __init__(self, name: str, host: str, port: int) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.gate: Final = Gate()
        """What is between the balancer and the replica."""
        self.state: State = "gone"
        self._missed = 0
        self._carried: set[Carried] = set()
        self._known = asyncio.Condition()

    async def watch(self) -> None:
        """Ask again and again."""
        while True:
            await self._note(await self._answer())
            await asyncio.sleep(EVERY)

    async def reaches(self, *states: State) -> None:
        """Wait until it is in one of some states."""
        async with self._known:
            await self._known.wait_for(lambda: self.state in states)

    async def carry(self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Carry a connection here; `OSError` if it cannot be made."""
        server = await asyncio.wait_for(self._connect(), PATIENCE)
        carried = Carried(client, server)
        self._carried.add(carried)
        try:
            await carried.carry(self.gate)
        finally:
            self._carried.discard(carried)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self.gate.is_open()
        return await asyncio.open_connection(self.host, self.port)

    async def _answer(self) -> int | None:
        """Return the status of an answer, None if there is none."""
        try:
            return await asyncio.wait_for(self._ask(), PATIENCE)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError):
            return None

    async def _ask(self) -> int:
        reader, writer = await self._connect()
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nhost: replica\r\nconnection: close\r\n\r\n")
            line = await reader.readline()
            return int(line.split()[1]) if line else 0
        finally:
            writer.transport.abort()

    async def _note(self, status: int | None) -> None:
        if status:
            self._missed = 0
            state: State = "ready" if status == 200 else "unready"
        else:
            self._missed += 1
            state = "gone" if self._missed >= FALLS else self.state
        if state == "gone":
            for carried in tuple(self._carried):
                carried.cut()
        if state != self.state:
            async with self._known:
                self.state = state
                self._known.notify_all()


class Balancer:
    """Listens for clients."""

    def __init__(self, backends: list[Backend], rng: random.Random) -> None:
        self.backends = backends
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self.turned_away = 0
        """Connections for which there was no replica."""

    async def listen(self) -> str:
        """Begin; return the address."""
        self._watching = [asyncio.create_task(backend.watch()) for backend in self.backends]
        port = free_port()
        hosts = [f"127.0.0.{number}" for number in range(1, ADDRESSES + 1)]
        self._server = await asyncio.start_server(self._accept, hosts, port)
        return f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """End."""
        assert self._server is not None
        self._server.close()
        tasks = [*self._watching, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [backend for backend in self.backends if backend.state == "ready"]
        self._rng.shuffle(ready)
        for backend in ready:
            with suppress(OSError, asyncio.TimeoutError):
                await backend.carry((reader, writer))
                return
        self.turned_away += 1
        with suppress(OSError):
            await reader.read(1)
            writer.write(_NONE)
            await writer.drain()
            writer.close()
