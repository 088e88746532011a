"""Requests that make no sense: each is answered, none with a fault of the server's own."""

from __future__ import annotations

import gc
import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from millstream.server.api.routing import OPERATIONS, Operation, parse_json
from millstream.server.errors import ApiError
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.held import held, kept
from server.senseless import ask, known_to, speak
from server.streams import thread


def senseless_requests(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    seed: int,
    count: int,
    operations: Sequence[Operation] = OPERATIONS,
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        running(config_of(make_graphs(), tmp_path, n_jobs_per_worker=4)) as server,
    ):
        before = held(server)
        senseless = known_to(server, seed)
        faults = ask(server, senseless, count, operations) + speak(server, senseless, count // 10)
        assert not faults, "\n".join(faults)
        server.http.post("/runs/cancel", json={"status": "all"})
        assert kept(server, before) == {}
    said = [r.getMessage() for r in caplog.records if r.name.startswith(("uvicorn", "asyncio"))]
    said += [r.getMessage() for r in caplog.records if "failed" in r.getMessage()]
    assert not said


@pytest.mark.long
def test_senseless_requests_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    senseless_requests(tmp_path, caplog, 1, 200)


@pytest.mark.parametrize(
    ("planted", "path"),
    [
        ("storage.threads.count", "/threads/count"),
        ("log.hub.Logs.read_thread", "/threads/{thread_id}/stream"),
        ("v3.source.ProtocolSource.take_frames", "/threads/{thread_id}/stream/events"),
    ],
    ids=["in an answer", "before a stream", "in a stream"],
)
def test_senseless_requests_notice_what_fails(
    planted: str,
    path: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: Any, **named: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(f"millstream.server.{planted}", fail)
    operations = [each for each in OPERATIONS if each.path == path]
    with pytest.raises(AssertionError, match=r"Internal Server Error|incomplete|ASGI"):
        senseless_requests(tmp_path, caplog, 2, 40, operations)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_thousands_of_senseless_requests_are_refused(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    senseless_requests(tmp_path, caplog, 100 + seed, 1000)


HEAD = "POST /threads/search HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        (HEAD + "content-length: 50\r\n\r\n{", b""),  # the rest never comes
        (HEAD + "transfer-encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 400"),
        (HEAD + "content-length: x\r\n\r\n", b"HTTP/1.1 400"),
        ("\0\1\2\3\r\n\r\n", b"HTTP/1.1 400"),
        ("GET /ok HTTP/1.1\r\nhost: x\r\n", b""),  # nor the end of the head
    ],
)
def test_connections_that_break_off_leave_nothing(
    request_text: str, answer: bytes, server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    port = httpx.URL(server.url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request_text.encode("latin-1"))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(12) == answer

    assert server.http.get("/ok").status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"values": ' + b"[" * 200 + b"]" * 200 + b"}", 422),
        (b'{"metadata": {"a": "\\ud800"}}', 422),
        (b'{"metadata": {"a": "\xff"}}', 422),
        (b'{"limit": 1e400}', 422),
        (b'{"metadata": {"a": NaN}}', 422),
        (b'\xef\xbb\xbf{"limit": 1}', 422),
        (b'{"metadata": {"a": "\\u0000"}}', 200),
    ],
)
def test_odd_json_is_the_clients_mistake(body: bytes, status: int, server: Running) -> None:
    assert server.http.post("/threads/search", content=body).status_code == status


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 101 + b'"' + b'\\"' * 100_000,  # a string without an end
        b"[" * 10_000_000,
        b"[" * 101 + b"]" * 101,
        b"[" + b"[]," * 200 + b'{"a":' * 100 + b"1" + b"}" * 100 + b"]",
    ],
    ids=["string", "brackets", "lists", "objects"],
)
def test_json_that_is_none_or_too_deep_is_refused_at_once(text: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(ApiError) as caught:
        parse_json(text)
    assert caught.value.status == 422
    assert time.process_time() - begun < 1


def test_json_as_deep_as_may_be_and_as_wide_is_taken() -> None:
    deep = b"[" + b"[]," * 200 + b'{"a":' * 99 + b'"[[["' + b"}" * 99 + b"]"
    assert parse_json(deep)[0] == []
    assert parse_json(b"[" * 100 + b"]" * 100)


@pytest.mark.parametrize("string", [rb"\"[", rb"\\", rb"\\\"{", rb"]", rb"\u005b\\", rb""])
def test_brackets_in_strings_are_not_nested(string: bytes) -> None:
    text = b'"' + string + b'"'
    many = b"[" + (text + b",") * 200 + b'{"a' + string + b'":' + b"[" * 98 + b"]" * 98 + b"}]"
    assert len(parse_json(many)) == 201
    with pytest.raises(ApiError):
        parse_json(b"[" + many + b"]")


def test_nobody_looks_for_garbage_in_what_is_being_parsed() -> None:
    looks = []
    text = b"[" + b"[]," * 100_000 + b"1]"

    def note(phase: str, about: Any) -> None:
        looks.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        parse_json(text)
    finally:
        gc.callbacks.remove(note)
    assert len(looks) <= 2  # of what came before or comes after


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/runs", {"assistant_id": "chat", "feedback_keys": [1] * 100_000}),
        ("/runs", {"assistant_id": "chat", "command": {"goto": [1] * 100_000}}),
        ("/runs/batch", [1] * 100_000),
        ("/threads", {"supersteps": [{"updates": [1] * 100_000}]}),
        ("/threads/search", {"extract": {str(n): 1 for n in range(100_000)}}),
        ("/threads/search", {"metadata": ["x" * 1000] * 1000}),
    ],
)
def test_many_mistakes_have_a_short_answer(path: str, body: Any, server: Running) -> None:
    refused = server.http.post(path, json=body)
    assert refused.status_code == 422
    assert len(refused.content) < 2000


def test_a_list_in_a_query_may_be_nested_as_deep_as_one_likes(server: Running) -> None:
    at = thread(server)
    for depth in (1, 900, 1020, 2000):
        asked = {"include": "[" * depth + "]" * depth}
        assert server.http.get(f"/threads/{at}", params=asked).status_code == 200


@pytest.mark.parametrize("path", ["/threads/search", "/assistants/search", "/runs/crons/search"])
def test_numbers_beyond_those_of_a_database_and_no_columns_at_all(
    path: str, server: Running
) -> None:
    server.http.post("/threads", json={})
    assert server.http.post(path, json={"offset": 2**63}).status_code == 422
    assert server.http.post(path, json={"offset": 2**63 - 1}).json() == []
    found = server.http.post(path, json={"select": []})
    assert found.status_code == 200
    assert all(row == {} for row in found.json())


def test_a_large_value_comes_back(server: Running) -> None:
    large = "é" * (10 << 20)
    made = server.http.post("/threads", json={"metadata": {"large": large}})
    assert made.status_code == 200
    found = server.http.get(f"/threads/{made.json()['thread_id']}").json()
    assert found["metadata"]["large"] == large
