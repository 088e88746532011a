"""Requests that make no sense: each is answered, none with a fault of the server's own."""

from __future__ import annotations

import json
import logging
import random
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from millstream.server.api.routing import OPERATIONS, Operation, parse_json
from millstream.server.errors import ApiError
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.held import held, kept
from server.streams import start, thread

TEXTS: Final = (
    "", " ", "\0", "a\0b", "\ud800", "é" * 300, "../..", "%00", "*", "-1", "null", "__proto__",
    "[]", "0" * 5000, "2026-13-45T99:99:99Z", "chat", "slow", "interrupt", "all", "values",
    "thread_id", "created_at", "a.b", "a[0]", "$", "metadata.x", "values.messages[-1]",
)  # fmt: skip
CHANNELS: Final = ("values", "updates", "messages", "lifecycle", "custom:x", "input", "tasks")
METHODS: Final = (
    "run.start", "input.respond", "input.inject", "state.get", "state.fork",
    "state.listCheckpoints", "subscription.subscribe", "subscription.unsubscribe",
    "subscription.reconnect", "agent.getTree", "x", "",
)  # fmt: skip
NUMBERS: Final = (0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 1e308, -0.0, 0.5, 1000, 100_000)


class Senseless:
    """Requests at random: known keys with values of any kind, paths with any ids."""

    def __init__(self, seed: int, known: dict[str, list[str]]) -> None:
        self.random = random.Random(seed)
        self.known = known
        """Ids that there are, by the names that parameters have."""
        self.ids = [id for ids in known.values() for id in ids]

    def value(self, depth: int = 0) -> Any:
        pick = self.random.random()
        if pick < 0.3:
            return self.random.choice(TEXTS)
        if pick < 0.45:
            return self.random.choice(NUMBERS)
        if pick < 0.6:
            return self.random.choice([None, True, False])
        if pick < 0.7:
            return self.random.choice(self.ids)
        if depth > 3:
            return []
        if pick < 0.85:
            return [self.value(depth + 1) for _ in range(self.random.randint(0, 3))]
        names = ["configurable", "thread_id", "resume", "update", "goto", "x", "\0", "type"]
        return {
            self.random.choice(names): self.value(depth + 1)
            for _ in range(self.random.randint(0, 3))
        }

    def params(self, method: str) -> Any:
        """Return parameters of a command of the protocol, or of a subscription."""
        params = self.value()
        if self.random.random() < 0.5:
            params = {**params} if isinstance(params, dict) else {}
            if method in ("run.start", "input.inject"):
                params |= {"assistant_id": "chat", "input": {"messages": []}}
            if method.startswith("subscription"):
                params |= {"channels": self.random.sample(CHANNELS, 2)}
        return params

    def command(self) -> Any:
        """Return a command of the protocol, or nearly one."""
        method = self.random.choice(METHODS)
        id = self.random.choice([1, 1, 2**60, self.value()])
        command = {"id": id, "method": method, "params": self.params(method)}
        return self.random.choice([command, command, self.value()])

    def body(self, known: Operation) -> bytes:
        pick = self.random.random()
        if known.path.endswith("/commands") and pick < 0.7:
            return json.dumps(self.command()).encode()
        if known.path.endswith("/stream/events") and pick < 0.7:
            return json.dumps(self.params("subscription")).encode()
        if known.body is None or pick < 0.1:
            return b"" if pick < 0.05 else json.dumps(self.value()).encode()
        keys = list(known.body.json_schema().get("properties", {})) or ["x"]
        given = {key: self.value() for key in keys if self.random.random() < 0.4}
        if "assistant_id" in keys and self.random.random() < 0.8:
            given["assistant_id"] = self.random.choice(["chat", "sink", "hitl"])
        text = json.dumps(given, ensure_ascii=self.random.random() < 0.8)
        body = text.encode("utf-8", "surrogatepass")
        if pick < 0.2:
            body = body[: self.random.randint(0, len(body))]
        if pick > 0.97:
            body = bytes(self.random.randrange(256) for _ in range(50))
        return body

    def path(self, known: Operation) -> str:
        path = known.path
        while "{" in path:
            before, _, rest = path.partition("{")
            name, _, after = rest.partition("}")
            id = self.random.choice(["not-an-id", "%00", "%ED%A0%80", "a" * 500, "..", "é"])
            if self.random.random() < 0.9:
                id = self.random.choice(self.known.get(name, self.ids))
            path = f"{before}{'chat' if name == 'namespace' else id}{after}"
        if known.query is not None:
            names = list(known.query.model_fields)
            asked = {
                name: str(self.value()).encode("utf-8", "replace")
                for name in names
                if self.random.random() < 0.3
            }
            path = f"{path}?{httpx.QueryParams(asked)}"
        return path


def ask(
    server: Running, senseless: Senseless, count: int, operations: Sequence[Operation]
) -> list[str]:
    """Make so many requests and return those that the server failed at."""
    faults = []
    for _ in range(count):
        operation = senseless.random.choice(operations)
        path, body = senseless.path(operation), senseless.body(operation)
        headers = {
            "content-type": senseless.random.choice(["application/json", "text/plain", ""]),
            "last-event-id": senseless.random.choice(["", "-1", "0", "x", "1-1", "9" * 400]),
        }
        told = f"{operation.method} {path} {body!r}"
        try:
            with server.http.stream(
                operation.method, path, content=body, headers=headers, timeout=10
            ) as response:
                if response.status_code >= 500:
                    faults.append(f"{told}: {response.read()!r}")
                elif operation.is_long and senseless.random.random() < 0.5:
                    # What has begun goes on, or its client goes away again.
                    next(response.iter_raw(), b"")
        except (httpx.TimeoutException, httpx.RemoteProtocolError) as error:
            faults.append(f"{told}: {error!r}")
    return faults


def speak(server: Running, senseless: Senseless, count: int) -> list[str]:
    """Say so many things over WebSockets, and return those that closed one."""
    faults = []
    for _ in range(count // 10):
        at = senseless.random.choice(senseless.known["thread_id"])
        url = f"{server.url.replace('http', 'ws', 1)}/threads/{at}/stream/events"
        said: list[Any] = []
        try:
            with connect(url, max_size=None) as socket:
                for _ in range(10):
                    said.append(senseless.command())
                    text = json.dumps(said[-1])
                    cut = text[: senseless.random.randint(0, len(text))]
                    socket.send(senseless.random.choice([text, text, cut, text.encode()]))
                socket.send(json.dumps({"id": 77, "method": "nothing"}))
                while json.loads(socket.recv(timeout=20)).get("id") != 77:
                    pass
        except (ConnectionClosed, TimeoutError) as error:
            faults.append(f"{said}: {error!r}")
    return faults


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
        at = thread(server)
        run = start(server, at, "chat", {"messages": []})
        assistants = server.http.post("/assistants/search", json={}).json()
        senseless = Senseless(
            seed,
            {
                "thread_id": [at, *(thread(server) for _ in range(9))],
                "run_id": [run["run_id"]],
                "assistant_id": [each["assistant_id"] for each in assistants],
            },
        )
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
