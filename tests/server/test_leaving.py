"""A server that is told to end where others go on: its runs, and its connections."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy import Connection, select

import waiting
from millstream.server.leaving import Closing, no_longer_kept, stop_accepting
from millstream.server.storage.tables import runs
from server.fixtures import Running
from server.streams import start, thread
from server.test_recovery import COUNT, Gate
from server.test_replicas import held, own, seen, serving, status

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def leave(server: Running) -> None:
    """Have a server begin nothing more, and hand over what it can."""

    async def drain() -> None:
        server.service.drain()
        await server.service.hand_over()

    asyncio.run_coroutine_threadsafe(drain(), server.loop).result(30)


def look_for_heirs(server: Running, seconds: float) -> None:
    looking = server.service.look_for_heirs(seconds)
    asyncio.run_coroutine_threadsafe(looking, server.loop).result(60)


def deaths(server: Running, run_id: str) -> int:
    def read(connection: Connection) -> Any:
        return connection.scalar(select(runs.c.deaths).where(runs.c.run_id == run_id))

    return int(server.service.db.write_soon(read).result(30))


@pytest.mark.real_time(reason="leases end by the clock of the database")
def test_what_nobody_reads_goes_on_elsewhere_at_once(new_database: str, tmp_path: Path) -> None:
    gate = Gate(3)
    with ExitStack() as stack:
        ending = stack.enter_context(serving(new_database, tmp_path / "a", gate))
        at = thread(ending)
        run_id = start(ending, at, "steps", {})["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        # The one looks now and then who else there is.
        other = stack.enter_context(serving(new_database, tmp_path / "b"))
        assert waiting.until(lambda: ending.service.has_heirs)
        leave(ending)
        gate.is_open = True
        assert waiting.until(lambda: status(other, at, run_id) == "success")
        assert held(other, run_id)[1] == 2
        assert deaths(other, run_id) == 0
        assert seen(other, at) == list(range(COUNT))
        # What is asked for now begins elsewhere at once.
        later = start(ending, thread(ending), "steps", {})
        assert waiting.until(
            lambda: status(other, later["thread_id"], later["run_id"]) == "success"
        )
        assert held(other, later["run_id"]) == (own(other), 1)
        assert waiting.until(lambda: not other.service.has_heirs)


def test_who_ends_looks_for_those_who_have_come_since_it_last_did(
    new_database: str, tmp_path: Path
) -> None:
    with (
        serving(new_database, tmp_path / "a") as ending,
        serving(new_database, tmp_path / "b"),
    ):
        # As it was when the other one had not come yet.
        ending.service.membership.others = ()
        look_for_heirs(ending, 30)
        assert ending.service.has_heirs


def test_who_ends_does_not_wait_for_a_database_that_is_not_there(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def is_gone() -> None:
        asked.append("gone")
        raise OSError("no database")

    async def is_mute() -> None:
        asked.append("mute")
        await asyncio.Event().wait()

    with serving(new_database, tmp_path / "a") as ending:
        for renew in (is_gone, is_mute):
            monkeypatch.setattr(ending.service.membership, "renew", renew)
            look_for_heirs(ending, 0.01)
        monkeypatch.undo()
    assert {"gone", "mute"} <= set(asked)


@pytest.mark.real_time(reason="leases end by the clock of the database")
def test_what_is_read_here_comes_to_its_end_here(new_database: str, tmp_path: Path) -> None:
    gate = Gate(3)
    with ExitStack() as stack:
        ending = stack.enter_context(serving(new_database, tmp_path / "a", gate))
        other = stack.enter_context(serving(new_database, tmp_path / "b"))
        assert waiting.until(lambda: ending.service.has_heirs)
        at = thread(ending)
        # `other` carries out nothing: it is there.
        other.service.scheduler.drain()
        said: list[str] = []

        def read() -> None:
            body = {"assistant_id": "steps", "input": {}, "stream_mode": ["updates"]}
            with ending.http.stream("POST", f"/threads/{at}/runs/stream", json=body) as response:
                said.extend(response.iter_lines())

        reader = threading.Thread(target=read)
        reader.start()
        assert waiting.until(lambda: gate.is_reached)
        leave(ending)
        gate.is_open = True
        reader.join()
        [run] = other.http.get(f"/threads/{at}/runs").json()
        assert run["status"] == "success"
        assert held(other, run["run_id"])[1] == 1
        assert sum(line == "event: updates" for line in said) == COUNT


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request with its path."""
    if scope["type"] != "http":
        return
    length = (b"content-length", b"2")
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": b"ok"})


async def exchange(client: socket.socket) -> bytes:
    """Ask on a connection, and return what is answered first."""
    loop = asyncio.get_running_loop()
    client.setblocking(False)
    await loop.sock_sendall(client, REQUEST)
    return await loop.sock_recv(client, 4096)


@pytest.mark.real_time(reason="connections are real")
def test_who_has_connected_is_answered_and_who_comes_later_is_refused() -> None:
    async def main() -> None:
        listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        place = listening.getsockname()
        closing = Closing(answer)
        server = uvicorn.Server(
            uvicorn.Config(closing, http="httptools", lifespan="off", log_config=None)
        )
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([listening])
        kept = socket.create_connection(place)
        assert (await exchange(kept)).startswith(b"HTTP/1.1 200")
        # In one turn of the loop: nobody has taken them when the server lets go.
        clients = [socket.create_connection(place) for _ in range(20)]
        leaving = asyncio.ensure_future(stop_accepting(server, [listening]))
        await asyncio.sleep(0)
        # Who comes meanwhile is not taken any more: what it sends would be lost.
        late = socket.socket()
        late.setblocking(False)
        assert late.connect_ex(place) == errno.EINPROGRESS
        await leaving
        with pytest.raises(OSError, match="not connected"):
            late.getpeername()
        late.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place)
        for client in clients:
            assert (await exchange(client)).startswith(b"HTTP/1.1 200")
            client.close()
        # One that is kept is waited for: somebody may just use it.
        closing.begin()
        waits = asyncio.ensure_future(no_longer_kept(server, 60))
        await asyncio.sleep(0)
        assert not waits.done()
        assert b"connection: close" in await exchange(kept)
        await waits
        kept.close()
        with suppress(asyncio.TimeoutError):
            await server.shutdown([])

    asyncio.run(main())


@pytest.mark.parametrize("length", [b"2", None])
def test_a_stream_does_not_say_that_its_connection_ends_with_it(length: bytes | None) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = [] if length is None else [(b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def main() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(dict(message["headers"]).get(b"connection"))

        closing = Closing(answer)
        for _ in range(2):
            await closing({"type": "http"}, None, send)  # type: ignore[arg-type]
            closing.begin()
        return sent

    assert asyncio.run(main()) == [None, None if length is None else b"close"]
