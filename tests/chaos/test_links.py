"""Links that are cut, and the balancer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from chaos.balancer import Backend, Balancer
from chaos.links import Link

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionResetError):
        while piece := await reader.read(100):
            writer.write(piece)
    writer.close()


@asynccontextmanager
async def linked(serve: Serve) -> AsyncIterator[tuple[Link, int]]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = Link(server.sockets[0].getsockname())
    try:
        yield link, await link.listen("127.0.0.1")
    finally:
        await link.close()
        server.close()


def test_what_is_cut_comes_when_the_link_is_there_again() -> None:
    async def main() -> None:
        async with linked(echo) as (link, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for directions in (("forth",), ("back",), ("forth", "back")):
                link.gate.shut(directions)
                writer.write(b"hello")
                answer = asyncio.create_task(reader.readexactly(5))
                done, _ = await asyncio.wait([answer], timeout=0.2)
                assert not done
                link.gate.open()
                assert await asyncio.wait_for(answer, 20) == b"hello"
            writer.close()

    asyncio.run(main())


def test_a_new_connection_waits_for_the_link() -> None:
    async def main() -> None:
        async with linked(echo) as (link, port):
            link.gate.shut(("back",))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert link.connections == 0
            link.gate.open()
            assert await asyncio.wait_for(reader.readexactly(5), 20) == b"hello"
            assert link.connections == 1
            writer.close()

    asyncio.run(main())


@pytest.mark.parametrize("is_shut", [False, True])
def test_a_network_may_forget_its_connections(is_shut: bool) -> None:
    async def main() -> None:
        async with linked(echo) as (link, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            await reader.readexactly(5)
            if is_shut:
                link.gate.shut(("forth", "back"))
            link.reset()
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(1), 20)
            writer.close()

    asyncio.run(main())


def answering(status: str) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        with suppress(ConnectionResetError):  # as a link ends what it has cut
            await reader.read()
        writer.close()

    return serve


@pytest.mark.real_time(reason="the balancer asks all the time")
def test_the_balancer_goes_by_what_replicas_say() -> None:
    async def main() -> None:
        servers = [
            await asyncio.start_server(answering(status), "127.0.0.1", 0)
            for status in ("200 OK", "503 Service Unavailable")
        ]
        backends = [
            Backend(f"r{number}", *server.sockets[0].getsockname())
            for number, server in enumerate(servers)
        ]
        balancer = Balancer(backends, random.Random(1))
        port = int((await balancer.listen()).rpartition(":")[2])
        try:
            await asyncio.wait_for(backends[0].reaches("ready"), 20)
            await asyncio.wait_for(backends[1].reaches("unready"), 20)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await asyncio.wait_for(reader.readline(), 20) == b"HTTP/1.1 200 OK\r\n"

            # What it has is cut when it does not answer any more.
            backends[0].gate.shut(("forth", "back"))
            await asyncio.wait_for(backends[0].reaches("gone"), 20)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 20)

            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 503 ")
            assert balancer.turned_away == 1
            writer.close()
        finally:
            await balancer.close()
            for server in servers:
                server.close()

    asyncio.run(main())
