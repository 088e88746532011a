"""Connections are refused, by their host and with the name of the test."""

from __future__ import annotations

import asyncio
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from millstream.testing import NetworkGuard, NetworkRefused, no_network
from millstream.testing.network import is_loopback, told

NOWHERE = "192.0.2.1"
"""An address that is for documentation alone."""


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    """Give the address of a socket of this machine that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def refused(call: Any, *given: Any) -> NetworkRefused:
    """Return the error of a call that is refused."""
    with no_network(test="test_x") as guard:
        with pytest.raises(NetworkRefused) as caught:
            call(*given)
        guard.refused.clear()
    return caught.value


def test_connections_are_refused_and_work_again_afterwards(listener: Any) -> None:
    error = refused(socket.create_connection, listener)

    assert error.host == f"127.0.0.1:{listener[1]}"
    assert str(error).startswith(f"no connection to {error.host} in test_x: there is no network")
    socket.create_connection(listener).close()


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_every_way_to_connect_is_refused(method: str) -> None:
    def connect() -> None:
        with socket.socket() as sock:
            getattr(sock, method)((NOWHERE, 80))

    assert refused(connect).host == f"{NOWHERE}:80"


def test_addresses_are_told_as_they_are_written() -> None:
    assert told(("2001:db8::1", 80, 0, 0)) == "[2001:db8::1]:80"
    assert told(("example.org", 80)) == "example.org:80"
    assert told("/run/socket") == "/run/socket"


def test_datagrams_are_refused() -> None:
    def send(method: str, *given: Any) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            getattr(sock, method)(*given, (NOWHERE, 53))

    assert refused(send, "sendto", b"x").host == f"{NOWHERE}:53"
    assert refused(send, "sendto", b"x", 0).host == f"{NOWHERE}:53"
    assert refused(send, "sendmsg", [b"x"], [], 0).host == f"{NOWHERE}:53"


def test_names_are_not_looked_up() -> None:
    assert refused(lambda: socket.gethostbyname("example.org")).host == "example.org"
    assert refused(lambda: socket.gethostbyname_ex("example.org")).host == "example.org"
    assert refused(lambda: socket.getaddrinfo(b"example.org", 80)).host == "example.org"


def test_event_loops_and_clients_are_refused() -> None:
    async def connect() -> None:
        await asyncio.open_connection("example.org", 443)

    async def get() -> None:
        async with httpx.AsyncClient() as client:
            await client.get("http://example.org")

    assert refused(lambda: asyncio.run(connect())).host == "example.org"
    assert refused(lambda: asyncio.run(get())).host == "example.org"
    assert refused(httpx.get, "http://192.0.2.1/").host == f"{NOWHERE}:80"


def test_this_machine_is_allowed_by_choice(listener: Any, tmp_path: Path) -> None:
    with no_network(loopback=True):
        socket.create_connection(("localhost", listener[1])).close()
    with no_network(hosts=["127.0.0.1"]):
        socket.create_connection(listener).close()

    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        with no_network(unix=True):
            client.connect(path)
    with socket.socket(socket.AF_UNIX) as client:
        assert refused(lambda: client.connect(path)).host == path


def test_threads_are_refused_too() -> None:
    caught: list[BaseException] = []

    def connect() -> None:
        try:
            socket.create_connection((NOWHERE, 80))
        except NetworkRefused as error:
            caught.append(error)

    with no_network() as guard:
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        assert guard.refused == [f"{NOWHERE}:80"]
        guard.refused.clear()

    assert len(caught) == 1


def test_who_catches_the_error_is_told_of_at_the_end() -> None:
    def give_up_twice() -> None:
        with no_network(test="test_x"):
            for _ in range(2):
                with suppress(NetworkRefused):
                    socket.getaddrinfo("example.org", 80)

    with pytest.raises(NetworkRefused, match=r"no connection to example\.org in test_x"):
        give_up_twice()


def test_another_error_stays_what_it_is() -> None:
    def fail_otherwise() -> None:
        with no_network():
            with suppress(NetworkRefused):
                socket.getaddrinfo("example.org", 80)
            raise LookupError

    with pytest.raises(LookupError):
        fail_otherwise()


def test_listening_and_pairs_need_no_network() -> None:
    with no_network():
        first, second = socket.socketpair()
        with first, second:
            first.sendmsg([b"x"])
            assert second.recv(1) == b"x"
        socket.create_server(("127.0.0.1", 0)).close()
        assert socket.getaddrinfo(None, 80)


def test_loops_are_made_where_the_system_has_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def socketpair(*given: Any) -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            first = socket.socket()
            first.connect(server.getsockname())
            return first, server.accept()[0]

    monkeypatch.setattr(socket, "socketpair", socketpair)

    with no_network() as guard:
        asyncio.new_event_loop().close()
        assert not guard.allows_host("127.0.0.1")
    assert socket.socketpair is socketpair


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_what_this_machine_is(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local
    assert NetworkGuard(loopback=True).allows(socket.AF_INET, (host, 80)) is is_local


def test_the_error_can_be_sent_elsewhere() -> None:
    error = pickle.loads(pickle.dumps(NetworkRefused("a:1", "test_x")))

    assert (error.host, error.test) == ("a:1", "test_x")
