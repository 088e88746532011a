"""Clients that begin requests and do not end them: they are let go, and others are served."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from millstream.server.config import ConfigError, LimitsConfig
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.streams import thread

KEY = {"x-api-key": "a-key-of-sixteen-characters"}
WITHOUT_KEY = b"POST /threads/search HTTP/1.1\r\nhost: x\r\n"
HEAD = WITHOUT_KEY + f"x-api-key: {KEY['x-api-key']}\r\n".encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with little time for requests, whose callers have keys."""
    here = tmp_path_factory.mktemp("server")
    (here / "keys").write_text(f"ada: {KEY['x-api-key']}\n")
    limits = LimitsConfig(request_seconds=1)
    config = config_of(make_graphs(), here, limits=limits, api_key_file="keys")
    with running(config) as server:
        server.http.headers.update(KEY)
        yield server


def connect(server: Running, data: bytes = b"") -> socket.socket:
    """Return a connection on which something was sent."""
    url = server.http.base_url
    assert url.port is not None
    connection = socket.create_connection((url.host, url.port), timeout=30)
    connection.sendall(data)
    return connection


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server closes a connection."""
    told = b""
    with connection:
        while received := connection.recv(65536):
            told += received
    return told


@pytest.mark.parametrize("limit", [0, -1, 1.5, "x"])
def test_a_request_has_a_whole_number_of_seconds(limit: object) -> None:
    with pytest.raises(ConfigError, match=r"limits\.request_seconds"):
        LimitsConfig(request_seconds=limit)  # type: ignore[arg-type]


def test_who_does_not_end_a_request_is_let_go_and_others_are_served(server: Running) -> None:
    half = [connect(server, HEAD) for _ in range(100)]
    silent = [connect(server) for _ in range(100)]
    bodies = [connect(server, HEAD + b"content-length: 50\r\n\r\n{") for _ in range(100)]
    chunks = [connect(server, HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{") for _ in "ab"]
    assert server.http.post("/threads", json={}).status_code == 200

    for connection in (*half, *silent, *bodies, *chunks):
        assert rest(connection).startswith(b"HTTP/1.1 408 ")
    assert server.http.post("/threads/search", json={}).status_code == 200


@pytest.mark.long
def test_a_body_that_keeps_coming_has_its_time(server: Running) -> None:
    late = connect(server, HEAD)
    # Two kilobytes of a body are worth two seconds more.
    slow = connect(server, HEAD + b"content-length: 3002\r\n\r\n" + b" " * 3000)
    assert rest(late).startswith(b"HTTP/1.1 408 ")
    slow.sendall(b"{}")
    assert slow.recv(12) == b"HTTP/1.1 200"
    slow.close()


@pytest.mark.long
def test_answers_may_take_longer_than_requests(server: Running) -> None:
    at = thread(server, metadata={"graph_id": "chat"})
    with server.http.stream("GET", f"/threads/{at}/stream") as response:
        assert rest(connect(server, HEAD)).startswith(b"HTTP/1.1 408 ")
        server.http.patch(f"/threads/{at}", json={"metadata": {"a": 1}})
        state = {"values": {"messages": []}, "as_node": "call_model"}
        server.http.post(f"/threads/{at}/state", json=state)
        assert response.status_code == 200
        assert next(response.iter_raw())


def test_there_is_only_so_much_of_a_head(server: Running) -> None:
    for endless in (b"GET /ok HTTP/1.1\r\na: ", b"GET /ok?", b"GET /ok HTTP/1.1\r\n"):
        connection = connect(server, endless)
        more = b"a: b\r\n" if endless.endswith(b"\n") else b"x"
        told = b""
        try:
            for _ in range(100):
                connection.sendall(more * 100_000)
        except OSError:
            pass
        try:
            told = rest(connection)
        except ConnectionResetError:  # what was not read is why
            continue
        assert told.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert server.http.get("/ok").status_code == 200


def test_headers_behind_a_body_are_none(server: Running) -> None:
    """Whoever is in front of the server has not looked at them."""
    key = HEAD.removeprefix(WITHOUT_KEY)
    body = b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    for head, trailers, status in ((HEAD, b"", b"200"), (WITHOUT_KEY, key, b"401")):
        asked = connect(server, head + body + trailers + b"\r\n")
        assert asked.recv(12) == b"HTTP/1.1 " + status
        asked.close()


@pytest.mark.long
def test_who_was_answered_already_is_answered_once(server: Running) -> None:
    refused = connect(server, WITHOUT_KEY + b"content-length: 50\r\n\r\n{")
    told = rest(refused)
    assert told.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 408" not in told
    # And who begins another request than the one that was answered is told so.
    two = connect(server, b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n" + HEAD)
    told = rest(two)
    assert told.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in told
