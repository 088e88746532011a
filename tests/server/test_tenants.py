"""Two who may not see each other, on two servers that share a database: by no way, at neither."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import waiting
from millstream.server.doorbell import news
from server.fixtures import Running
from server.graphs import make_graphs
from server.streams import live
from server.test_auth import ALICE, BOB, guarded
from server.test_guarded import (
    SECRET,
    Theirs,
    alices,
    answer,
    handshake,
    sockets,
    state_of,
    walk,
)

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.real_time(reason="servers tell each other what is new in a while")

KINDS: Final = {news.QUEUE, news.PUT_OFF, news.RUN, news.THREAD, news.STATE, "probe"}
NAMES: Final = (SECRET, "alice", "bob", "acme")
"""What nobody else is to read: what was said, and who has said it."""
STREAMS: Final = (
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"),
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"),
    ("GET", "/threads/{thread_id}/stream"),
    ("POST", "/threads/{thread_id}/stream/events"),
)


class Shared(NamedTuple):
    """Two servers, and what is said to all who may connect to their database."""

    servers: tuple[Running, Running]
    listening: Any
    payloads: list[str]

    def said(self) -> list[str]:
        """Return what everybody has heard by now."""
        self.listening.execute("SELECT 1")
        return self.payloads


@pytest.fixture
def shared(new_database: str, tmp_path: Path) -> Iterator[Shared]:
    """Give two servers whose callers have what they make."""
    payloads: list[str] = []
    with ExitStack() as stack:
        listening = stack.enter_context(psycopg.connect(new_database, autocommit=True))
        listening.add_notify_handler(lambda notify: payloads.append(notify.payload))
        listening.execute("LISTEN millstream")
        servers = []
        for name in "ab":
            (tmp_path / name).mkdir()
            serving = guarded("owners", tmp_path / name, make_graphs(), database=new_database)
            servers.append(stack.enter_context(serving))
        for server in servers:
            assert waiting.until(lambda server=server: server.service.bell.is_listening)
            assert waiting.until(lambda server=server: bool(server.service.membership.others))
        yield Shared((servers[0], servers[1]), listening, payloads)


def test_what_one_has_at_a_server_another_one_has_not_at_the_other(shared: Shared) -> None:
    at, elsewhere = shared.servers
    theirs = alices(at)
    before = state_of(at, theirs)
    told = {}
    for method, path in walk(elsewhere.application.routes):
        if method == "HEAD":
            continue
        status, text = answer(elsewhere, theirs.request(method, path), BOB)
        if SECRET in text or status >= 500:
            told[f"{method} {path}"] = (status, text[:500])
    for path in sockets(elsewhere.application.routes):
        url = theirs.request("GET", path)["url"]
        assert handshake(elsewhere, url, BOB) == 404
        assert handshake(elsewhere, url, ALICE) == 101

    assert told == {}
    # It is hers at both.
    assert state_of(elsewhere, theirs) == state_of(at, theirs) == before
    assert_nothing_is_told(shared)


def test_who_may_not_see_a_run_reads_it_by_no_stream(shared: Shared) -> None:
    """While it goes on, at the server that carries it out and at the other one."""
    at = shared.servers[0]
    made = at.http.post("/threads", json={"metadata": {"note": SECRET}}, headers=ALICE).json()
    run = {
        "assistant_id": "slow",
        "input": {"n": 1, "delay": 600},
        "metadata": {"note": SECRET},
        "stream_resumable": True,
    }
    path = f"/threads/{made['thread_id']}/runs"
    run_id = at.http.post(path, json=run, headers=ALICE).json()["run_id"]
    theirs = Theirs({"thread_id": made["thread_id"], "run_id": run_id})

    def status_of() -> str:
        return str(at.http.get(f"{path}/{run_id}", headers=ALICE).json()["status"])

    assert waiting.until(lambda: status_of() == "running")
    for server in shared.servers:
        for method, stream in STREAMS:
            asked = theirs.request(method, stream)
            asked["content"] = json.dumps({"channels": ["values"]})
            code, text = answer(server, asked, BOB)
            # A stream that has begun tells what is wrong as an event.
            assert code == 404 or "404: Run not found" in text, (method, stream, text)
            assert "metadata" not in text, (method, stream, text)
            assert SECRET not in text, (method, stream, text)
        cancel = theirs.request("POST", "/threads/{thread_id}/runs/{run_id}/cancel")
        assert answer(server, cancel, BOB)[0] == 404
        assert answer(server, theirs.request("GET", "/threads/{thread_id}/runs"), BOB)[0] == 404
        found = server.http.post("/threads/search", json={}, headers=BOB).json()
        assert found == []
    assert status_of() == "running"
    # The stream is there, for her, at both.
    url = f"{path}/{run_id}/stream"
    for server in shared.servers:
        headers = {**ALICE, "last-event-id": "-1"}
        with server.http.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200
            assert next(live(response)).data["run_id"] == run_id
    cancelled = shared.servers[1].http.post(f"{path}/{run_id}/cancel", headers=ALICE)
    assert cancelled.status_code in (200, 202, 204)
    assert waiting.until(lambda: status_of() == "interrupted")
    assert_nothing_is_told(shared)


def assert_nothing_is_told(shared: Shared) -> None:
    """Look at what everybody can see: metrics, and what servers ring for."""
    for server in shared.servers:
        told = server.http.get("/metrics").text
        assert [name for name in NAMES if name in told] == []
        assert re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-", told) == []
    assert waiting.until(lambda: any('"run"' in each for each in shared.said()))
    for payload in shared.said():
        said = json.loads(payload)
        assert set(said) <= {"by", "new", "all"}
        assert re.fullmatch(r"[0-9a-f]{12}", said["by"])
        assert set(said["new"]) <= KINDS
        for ids in said["new"].values():
            assert all(
                str(uuid.UUID(id)).replace("-", "") == id.replace("-", "") for id in ids or ()
            )
