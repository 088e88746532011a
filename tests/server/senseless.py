"""Requests at random that make no sense, over HTTP and over WebSockets."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from millstream.server.api.routing import OPERATIONS, Operation
from server.fixtures import Running
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
    server: Running,
    senseless: Senseless,
    count: int,
    operations: Sequence[Operation] = OPERATIONS,
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


def known_to(server: Running, seed: int) -> Senseless:
    """Return requests that are mostly about what a server has."""
    at = thread(server)
    run = start(server, at, "chat", {"messages": []})
    assistants = server.http.post("/assistants/search", json={}).json()
    return Senseless(
        seed,
        {
            "thread_id": [at, *(thread(server) for _ in range(9))],
            "run_id": [run["run_id"]],
            "assistant_id": [each["assistant_id"] for each in assistants],
        },
    )
