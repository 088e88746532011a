"""Every route there is, walked by callers who may not.

What is added to the server is walked too: it has to be asked about like everything else, or to be
named here as open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from millstream.server.api.routing import OPERATIONS
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.test_auth import ALICE, BOB, guarded

OPEN: Final = {
    ("GET", "/"),
    ("GET", "/ok"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/info"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/studio"),
    ("GET", "/studio/"),
    ("GET", "/studio/assets/{name}"),
}
"""What everybody may ask: it says nothing of anybody."""
SECRET: Final = "the-secret-of-alice"
RUN: Final = {"assistant_id": "chat", "input": {"messages": []}}
BODIES: Final[dict[str, Any]] = {
    "POST /assistants": {"graph_id": "chat"},
    "POST /assistants/{assistant_id}/latest": {"version": 1},
    "POST /threads/prune": {"thread_ids": ["{thread_id}"]},
    "POST /threads/{thread_id}/state/checkpoint": {"checkpoint": {}},
    "POST /threads/{thread_id}/state": {"values": {"messages": []}},
    "POST /threads/{thread_id}/runs": RUN,
    "POST /threads/{thread_id}/runs/stream": RUN,
    "POST /threads/{thread_id}/runs/wait": RUN,
    "POST /runs": RUN,
    "POST /runs/stream": RUN,
    "POST /runs/wait": RUN,
    "POST /runs/batch": [RUN],
    "POST /runs/crons": {**RUN, "schedule": "0 0 1 1 *"},
    "POST /threads/{thread_id}/runs/crons": {**RUN, "schedule": "0 0 1 1 *"},
    "POST /runs/cancel": {"thread_id": "{thread_id}", "run_ids": ["{run_id}"]},
    "POST /ag-ui/{assistant_id}": {"threadId": "{thread_id}", "runId": "r", "messages": []},
    "POST /ag-ui/{assistant_id}/connect": {"threadId": "{thread_id}", "runId": "r", "messages": []},
    "POST /ai-sdk/{assistant_id}": {"id": "{thread_id}", "messages": []},
    "POST /openai/v1/chat/completions": {
        "model": "{assistant_id}",
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"thread_id": "{thread_id}"},
    },
    "POST /openai/v1/responses": {
        "model": "{assistant_id}",
        "input": "hi",
        "conversation": "{thread_id}",
    },
    "PUT /store/items": {"namespace": ["x"], "key": "k", "value": {}},
    "DELETE /store/items": {"namespace": ["x"], "key": "k"},
    "POST /store/items/search": {"namespace_prefix": ["alice"]},
}
"""What requests have to have in them to be asked about at all."""
ITEM: Final = {"namespace": "alice.x", "key": "k"}
QUERIES: Final = {"GET /store/items": ITEM, "HEAD /store/items": ITEM}


class Theirs(NamedTuple):
    """What a caller has on a server."""

    ids: dict[str, str]

    def request(self, method: str, path: str) -> dict[str, Any]:
        """Return what asks for it."""
        name = f"{method} {path}"
        body = json.dumps(BODIES.get(name, {})) if method not in ("GET", "HEAD") else ""
        for key, id in self.ids.items():
            body = body.replace(f"{{{key}}}", id)
        filled = re.sub(r"{(\w+)(?::\w+)?}", lambda match: self.ids.get(match[1], "x"), path)
        return {"method": method, "url": filled, "content": body, "params": QUERIES.get(name)}


def walk(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield methods and paths of all routes, also of those that are in no registry."""
    for route in routes:
        if isinstance(route, Mount):
            yield from walk(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            known = getattr(route.endpoint, "operations", None)
            for method in sorted(known or route.methods or ()):
                yield method, prefix + route.path


def nobodys() -> Theirs:
    """Return what nobody has."""
    keys = ("thread_id", "run_id", "assistant_id", "cron_id", "checkpoint_id")
    return Theirs({key: str(uuid4()) for key in keys})


def alices(server: Running) -> Theirs:
    """Make alice what she can have: each with a secret in it."""

    def post(path: str, body: Any) -> Any:
        made = server.http.post(path, json=body, headers=ALICE)
        assert made.status_code == 200, made.text
        return made.json()

    metadata = {"note": SECRET}
    assistant = post("/assistants", {"graph_id": "chat", "metadata": metadata, "name": SECRET})
    thread_id = post("/threads", {"metadata": metadata})["thread_id"]
    said = {"messages": [{"role": "user", "content": SECRET}]}
    run = {"assistant_id": assistant["assistant_id"], "input": said, "stream_resumable": True}
    post(f"/threads/{thread_id}/runs/wait", run)
    (made,) = server.http.get(f"/threads/{thread_id}/runs", headers=ALICE).json()
    state = server.http.get(f"/threads/{thread_id}/state", headers=ALICE).json()
    item = {"namespace": ["x"], "key": "k", "value": {"note": SECRET}}
    server.http.put("/store/items", json=item, headers=ALICE)
    cron = post(f"/threads/{thread_id}/runs/crons", {**run, "schedule": "0 0 1 1 *"})
    return Theirs(
        {
            "thread_id": thread_id,
            "run_id": made["run_id"],
            "assistant_id": assistant["assistant_id"],
            "checkpoint_id": state["checkpoint_id"],
            "cron_id": cron["cron_id"],
        }
    )


def state_of(server: Running, theirs: Theirs) -> list[Any]:
    """Return all that alice has."""
    ids = theirs.ids
    paths = (
        f"/threads/{ids['thread_id']}",
        f"/threads/{ids['thread_id']}/state",
        f"/threads/{ids['thread_id']}/runs",
        f"/assistants/{ids['assistant_id']}",
        f"/runs/crons/{ids['cron_id']}",
        "/store/items?namespace=x&key=k",
    )
    answers = [server.http.get(path, headers=ALICE) for path in paths]
    assert all(answer.status_code == 200 for answer in answers)
    return [answer.json() for answer in answers]


def answer(server: Running, request: dict[str, Any], headers: dict[str, str]) -> tuple[int, str]:
    """Return status and text of an answer, all of which end."""
    text = b""
    json_type = {"content-type": "application/json"}
    asked = server.http.stream(**request, headers={**headers, **json_type}, timeout=10)
    try:
        with asked as response:
            for chunk in response.iter_raw():
                text += chunk
            return response.status_code, text.decode()
    except httpx.ReadTimeout:
        return 599, f"nothing more came after {text!r}"


def sockets(routes: Any, prefix: str = "") -> Iterator[str]:
    """Yield the paths of all WebSockets."""
    for route in routes:
        if isinstance(route, Mount):
            yield from sockets(route.routes, prefix + route.path)
        elif isinstance(route, WebSocketRoute):
            yield prefix + route.path


def handshake(server: Running, path: str, headers: dict[str, str]) -> int:
    """Return how a handshake is answered."""
    try:
        with connect(server.url.replace("http", "ws") + path, additional_headers=headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_websockets_are_guarded_like_everything_else(owned: Running, tmp_path: Path) -> None:
    theirs = alices(owned)
    paths = [theirs.request("GET", path)["url"] for path in sockets(owned.application.routes)]
    assert paths

    for path in paths:
        assert handshake(owned, path, {}) == 401
        assert handshake(owned, path, {"x-auth-scheme": "langsmith"}) == 401
        assert handshake(owned, path, BOB) == 404
        assert handshake(owned, path, ALICE) == 101
    with guarded("denying", tmp_path, make_graphs()) as server:
        assert [handshake(server, path, ALICE) for path in paths] == [403] * len(paths)


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server whose callers have what they make."""
    with guarded("owners", tmp_path_factory.mktemp("owned"), make_graphs()) as server:
        yield server


def test_the_walk_comes_by_every_operation(owned: Running) -> None:
    walked = {*walk(owned.application.routes)}

    assert walked >= {(known.method, known.path) for known in OPERATIONS}
    assert walked >= OPEN


def test_without_a_token_nothing_is_answered(owned: Running) -> None:
    wrong = {}
    for method, path in walk(owned.application.routes):
        if (method, path) in OPEN or (method == "HEAD" and ("GET", path) in OPEN):
            continue
        status, text = answer(owned, nobodys().request(method, path), {})
        if status != 401 or (text and json.loads(text)["detail"] != "no token"):
            wrong[f"{method} {path}"] = (status, text[:200])

    assert wrong == {}


def test_handlers_that_deny_everything_are_asked_about_everything(tmp_path: Path) -> None:
    wrong = {}
    with guarded("denying", tmp_path, make_graphs()) as server:
        for method, path in walk(server.application.routes):
            if (method, path) in OPEN or (method == "HEAD" and ("GET", path) in OPEN):
                continue
            status, text = answer(server, nobodys().request(method, path), ALICE)
            # Before it is looked whether there is such a thing.
            if status != 403 or (text and json.loads(text)["detail"] != "Forbidden"):
                wrong[f"{method} {path}"] = (status, text[:200])

    assert wrong == {}


def test_who_has_another_token_sees_and_changes_nothing_of_the_first(owned: Running) -> None:
    theirs = alices(owned)
    before = state_of(owned, theirs)
    told = {}
    for method, path in walk(owned.application.routes):
        if method == "HEAD":
            continue
        status, text = answer(owned, theirs.request(method, path), BOB)
        if SECRET in text or status >= 500:
            told[f"{method} {path}"] = (status, text[:500])

    assert told == {}
    assert state_of(owned, theirs) == before
    # And the walk was one: where it leads, alice does see her secret.
    own = answer(owned, theirs.request("GET", "/threads/{thread_id}/history"), ALICE)
    assert SECRET in own[1]


def test_other_protocols_show_nobody_what_is_not_theirs(owned: Running) -> None:
    """By the ids of threads and runs, which are contexts and tasks there, and by names."""
    theirs = alices(owned)
    before = state_of(owned, theirs)
    ids = theirs.ids
    message = {
        "role": "user",
        "parts": [{"kind": "text", "text": "what has been said?"}],
        "messageId": "m1",
    }

    def call(path: str, method: str, params: Any, who: dict[str, str]) -> tuple[int, str]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        request = {"method": "POST", "url": path, "content": json.dumps(body)}
        return answer(owned, request, {**who, "accept": "application/json, text/event-stream"})

    said = {**message, "parts": [{"kind": "text", "text": SECRET}]}
    agent = f"/a2a/{ids['assistant_id']}"
    bobs = owned.http.post("/assistants", json={"graph_id": "chat"}, headers=BOB).json()
    sent = call(agent, "message/send", {"message": said}, ALICE)
    assert "result" in sent[1], sent
    made = json.loads(sent[1])["result"]
    task = {"id": made["id"], "contextId": made["contextId"]}
    in_task = {**message, "taskId": made["id"], "contextId": made["contextId"]}
    asked = {
        "/mcp": [
            ("tools/list", {}),
            ("tools/call", {"name": SECRET, "arguments": {"messages": []}}),
            ("tools/call", {"name": ids["assistant_id"], "arguments": {"messages": []}}),
        ],
        f"/a2a/{bobs['assistant_id']}": [
            ("message/send", {"message": {**message, "contextId": ids["thread_id"]}}),
            ("message/send", {"message": in_task}),
            ("message/stream", {"message": in_task}),
            ("tasks/get", task),
            ("tasks/resubscribe", task),
            ("tasks/cancel", task),
        ],
        agent: [
            ("message/send", {"message": message}),
            ("tasks/get", task),
        ],
    }
    told = {}
    for path, calls in asked.items():
        for method, params in calls:
            status, text = call(path, method, params, BOB)
            # A name that was asked for may be said again.
            shown = text.replace(f"'{SECRET}'", "")
            if SECRET in shown or status >= 500 or "completed" in text:
                told[f"{path} {method} {params}"] = (status, text[:500])

    assert told == {}
    assert state_of(owned, theirs) == before
    # She herself is told.
    assert SECRET in call(agent, "tasks/get", task, ALICE)[1]


def test_front_ends_show_nobody_what_is_not_theirs(owned: Running) -> None:
    """By the ids of threads and runs, which are chats, conversations and responses there."""
    theirs = alices(owned)
    ids = theirs.ids
    thread_id, run_id = ids["thread_id"], ids["run_id"]
    before = state_of(owned, theirs)
    bobs = owned.http.post("/assistants", json={"graph_id": "chat"}, headers=BOB).json()
    mine = bobs["assistant_id"]
    response = f"/openai/v1/responses/resp_{UUID(thread_id).hex}{UUID(run_id).hex}"
    chat, agent = f"/ai-sdk/{mine}", f"/ag-ui/{mine}"
    said = {"role": "user", "content": "hi"}
    page = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"{chat}/{thread_id}/messages", None),
        ("GET", f"{chat}/{thread_id}/stream", None),
        ("DELETE", f"{chat}/{thread_id}/stream", None),
        ("POST", chat, {"id": thread_id, "messages": [page]}),
        ("POST", chat, {"id": thread_id, "messages": [page], "trigger": "regenerate-message"}),
        ("GET", f"{agent}/{thread_id}/stream", None),
        ("DELETE", f"{agent}/{thread_id}/stream", None),
        (
            "POST",
            agent,
            {
                "threadId": thread_id,
                "runId": "r",
                "messages": [{**said, "id": "m"}],
                "state": {"x": 1},
            },
        ),
        (
            "POST",
            "/openai/v1/chat/completions",
            {"model": mine, "messages": [said], "metadata": {"thread_id": thread_id}},
        ),
        ("POST", "/openai/v1/responses", {"model": mine, "conversation": thread_id}),
        ("POST", "/openai/v1/responses", {"model": ids["assistant_id"], "input": "hi"}),
        ("GET", response, None),
        ("GET", f"{response}?stream=true", None),
        ("POST", f"{response}/cancel", {}),
        ("GET", "/openai/v1/models", None),
    ]
    told = {}
    for method, path, body in asked:
        request = {
            "method": method,
            "url": path,
            "content": "" if body is None else json.dumps(body),
        }
        status, text = answer(owned, request, BOB)
        if SECRET in text or status >= 500 or (method == "POST" and status < 400):
            told[f"{method} {path} {body}"] = (status, text[:500])

    assert told == {}
    assert state_of(owned, theirs) == before
    # A client that comes back to what is not its own is told as much as of what there is not.
    back = {"threadId": thread_id, "runId": "r", "messages": []}
    connected = {"method": "POST", "url": f"{agent}/connect", "content": json.dumps(back)}
    assert answer(owned, connected, BOB)[1].count("data: ") == 2
    # She herself is shown it.
    own = {"method": "GET", "url": f"/ai-sdk/{ids['assistant_id']}/{thread_id}/messages"}
    assert SECRET in answer(owned, {**own, "content": ""}, ALICE)[1]
    connected["url"] = f"/ag-ui/{ids['assistant_id']}/connect"
    assert SECRET in answer(owned, connected, ALICE)[1]


BYPASSES: Final = {
    "x-auth-scheme": "langsmith-api-key",
    "x-user-id": "alice",
    "x-tenant-id": "alice",
    "x-organization-id": "alice",
    "x-service-key": "alice",
    "x-api-key": "",
    "x-forwarded-user": "alice",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": "localhost",
    "x-forwarded-prefix": "/ok",
    "x-real-ip": "127.0.0.1",
    "forwarded": "for=127.0.0.1;host=localhost",
    "x-original-url": "/ok",
    "x-rewrite-url": "/ok",
    "x-http-method-override": "GET",
    "x-method-override": "OPTIONS",
    "x-http-method": "GET",
    "origin": "http://localhost:2024",
    "access-control-request-headers": "authorization",
    "cookie": "user=alice; session=alice",
    "remote-user": "alice",
}
"""What lets in, or names a caller or another address, somewhere."""


def tricks(path: str) -> Iterator[str]:
    """Yield ways to write a path that something in front of routes may take for another one."""
    yield f"/{path}"
    yield f"{path}/"
    yield f"/.{path}"
    yield f"/ok/..{path}"
    yield f"/ok/%2e%2e{path}"
    yield f"/docs/../{path}"
    yield f"/%2e{path}"
    yield f"/ok%2f..{path}"
    yield f"{path};/ok"
    yield f"{path}%00"
    yield f"{path}%20"
    yield f"{path}#/ok"
    yield f"{path}\\"
    yield f"{path}?/ok"
    yield path.upper()
    yield path.replace("/", "%2f")
    yield "/" + "".join(f"%{ord(char):02x}" for char in path[1:])
    yield f"http://localhost{path}"


def raw(server: Running, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Ask for a path as it is written, and return what comes first."""
    url = httpx.URL(server.url)
    connection = HTTPConnection(url.host, url.port or 80, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=path.startswith("http"))
        for name, value in headers.items():
            connection.putheader(name, value)
        body = b"" if method in ("GET", "HEAD", "OPTIONS") else b"{}"
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        is_stream = "event-stream" in (response.getheader("content-type") or "")
        return response.status, b"" if is_stream else response.read()
    finally:
        connection.close()


@contextmanager
def keyed(here: Path) -> Iterator[Running]:
    (here / "keys").write_text("alice: a-key-of-sixteen-characters\n")
    with running(config_of(make_graphs(), here, api_key_file="keys")) as server:
        yield server


@pytest.mark.parametrize("kind", ["handlers", "keys"])
def test_no_header_lets_anybody_in(kind: str, tmp_path: Path) -> None:
    serve = keyed(tmp_path) if kind == "keys" else guarded("owners", tmp_path, make_graphs())
    wrong = {}
    with serve as server:
        for method, path in walk(server.application.routes):
            if (method, path) in OPEN or (method == "HEAD" and ("GET", path) in OPEN):
                continue
            status, text = answer(server, nobodys().request(method, path), BYPASSES)
            if status != 401:
                wrong[f"{method} {path}"] = (status, text[:200])
        for path in sockets(server.application.routes):
            url = nobodys().request("GET", path)["url"]
            status = handshake(server, url, {**BYPASSES, "origin": server.url})
            if status != 401:
                wrong[path] = (status, "")

    assert wrong == {}


@pytest.mark.long
def test_no_way_to_write_a_path_or_method_lets_anybody_in(owned: Running) -> None:
    theirs = alices(owned)
    before = state_of(owned, theirs)
    told = {}
    for method, path in walk(owned.application.routes):
        if (method, path) in OPEN or method == "HEAD":
            continue
        url = theirs.request(method, path)["url"]
        # Nobody may read or do anything there, and bob not with what is alice's.
        for way in tricks(url):
            status, text = raw(owned, method, way, BYPASSES)
            if status < 300 or status >= 500 or SECRET.encode() in text:
                told[f"nobody: {method} {way}"] = (status, text[:200])
        for way in tricks(url):
            status, text = raw(owned, method, way, {**BOB, **BYPASSES})
            if status >= 500 or SECRET.encode() in text:
                told[f"bob: {method} {way}"] = (status, text[:200])
    for method in ("OPTIONS", "TRACE", "PROPFIND", "LINK", "MKCOL", "PURGE", "SEARCH"):
        status, text = raw(owned, method, f"/threads/{theirs.ids['thread_id']}", BYPASSES)
        if status != 405 and not (method == "OPTIONS" and text in (b"", b"OK")):
            told[method] = (status, text[:200])

    assert told == {}
    assert state_of(owned, theirs) == before
    # One of these ways leads there, for her.
    own = theirs.request("GET", "/threads/{thread_id}/state")["url"]
    assert SECRET.encode() in raw(owned, "GET", f"{own}?/ok", {**ALICE, **BYPASSES})[1]
