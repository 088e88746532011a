"""Requests that make no sense: each is answered, none with a fault of the server's own."""

from __future__ import annotations

import json
import logging
import random
import socket
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from millstream.server.api.routing import OPERATIONS, Operation
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.streams import start, thread

TEXTS: Final = (
    "", " ", "\0", "a\0b", "\ud800", "é" * 300, "../..", "%00", "*", "-1", "null", "__proto__",
    "[]", "0" * 5000, "2026-13-45T99:99:99Z", "chat", "slow", "interrupt", "all", "values",
    "thread_id", "created_at", "a.b", "a[0]", "$", "metadata.x", "values.messages[-1]",
)  # fmt: skip
NUMBERS: Final = (0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 1e308, -0.0, 0.5, 1000, 100_000)


class Senseless:
    """Requests at random: known keys with values of any kind, paths with any ids."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.random = random.Random(seed)
        self.ids = ids

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

    def body(self, known: Operation) -> bytes:
        pick = self.random.random()
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
            if self.random.random() < 0.8:
                id = self.random.choice(self.ids)
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


def ask(server: Running, senseless: Senseless, count: int) -> list[str]:
    """Make so many requests and return those that the server failed at."""
    faults = []
    # What stays open until somebody speaks is asked in other tests.
    known = [each for each in OPERATIONS if not each.path.endswith(("/stream", "/events", "/join"))]
    for _ in range(count):
        operation = senseless.random.choice(known)
        path, body = senseless.path(operation), senseless.body(operation)
        headers = {"content-type": senseless.random.choice(["application/json", "text/plain", ""])}
        try:
            with server.http.stream(
                operation.method, path, content=body, headers=headers, timeout=10
            ) as response:
                if response.status_code >= 500:
                    faults.append(f"{operation.method} {path} {body!r}: {response.read()!r}")
        except (httpx.TimeoutException, httpx.RemoteProtocolError) as error:
            faults.append(f"{operation.method} {path} {body!r}: {error!r}")
    return faults


def senseless_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int, count: int
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        running(config_of(make_graphs(), tmp_path, n_jobs_per_worker=4)) as server,
    ):
        at = thread(server)
        run = start(server, at, "chat", {"messages": []})
        assistants = server.http.post("/assistants/search", json={}).json()
        ids = [at, run["run_id"], *(each["assistant_id"] for each in assistants)]
        faults = ask(server, Senseless(seed, ids), count)
        assert not faults, "\n".join(faults)
        assert server.http.get("/ok").status_code == 200
    said = [r.getMessage() for r in caplog.records if r.name.startswith(("uvicorn", "asyncio"))]
    said += [r.getMessage() for r in caplog.records if "failed" in r.getMessage()]
    assert not said


def test_senseless_requests_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    senseless_requests(tmp_path, caplog, 1, 200)


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
