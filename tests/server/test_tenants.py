"""Callers with what is theirs, on servers that share a database: nobody sees what is another's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from server.fixtures import Running
from server.graphs import make_graphs
from server.streams import parse
from server.test_auth import ALICE, BOB, guarded
from server.test_guarded import SECRET, alices, answer, state_of, walk

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def servers(new_database: str, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Give two servers, of which the first carries out all runs."""
    with ExitStack() as stack:
        yield (
            stack.enter_context(served(new_database, tmp_path / "holder", "all")),
            stack.enter_context(served(new_database, tmp_path / "other", "api")),
        )


@contextmanager
def served(database: str, folder: Path, role: str) -> Iterator[Running]:
    folder.mkdir()
    with guarded("owners", folder, make_graphs(), database=database, role=role) as server:
        yield server


def test_who_has_another_token_sees_and_changes_nothing_of_the_first_elsewhere(
    servers: tuple[Running, Running],
) -> None:
    holder, other = servers
    theirs = alices(holder)
    before = state_of(holder, theirs)

    told = {}
    for method, path in walk(other.application.routes):
        if method != "HEAD":
            status, text = answer(other, theirs.request(method, path), BOB)
            if SECRET in text or status >= 500:
                told[f"{method} {path}"] = (status, text[:500])

    assert told == {}
    assert state_of(other, theirs) == before
    # And the walk was one: where it leads, alice does see her secret.
    assert SECRET in answer(other, theirs.request("GET", "/threads/{thread_id}/history"), ALICE)[1]


def test_neither_rings_nor_metrics_say_whose_anything_is(
    servers: tuple[Running, Running], new_database: str
) -> None:
    holder, other = servers
    with psycopg.connect(new_database, autocommit=True) as listening:
        listening.execute("LISTEN millstream")
        theirs = alices(holder)
        run = {"assistant_id": "slow", "input": {"n": 3}, "stream_resumable": True}
        # It is read where it is not carried out, so there is something to ring for.
        path = f"/threads/{theirs.ids['thread_id']}/runs"
        read = other.http.post(f"{path}/stream", json=run, headers=ALICE)
        run_id = parse(read.text)[0].data["run_id"]
        payloads = []
        for notify in listening.notifies(timeout=30):
            payloads.append(notify.payload)
            if run_id in notify.payload:
                break

    assert run_id in payloads[-1]
    private = {SECRET, "alice", "hello", theirs.ids["assistant_id"]}
    assert [each for each in payloads if any(text in each for text in private)] == []
    metrics = [server.http.get("/metrics").text for server in servers]
    for text in private | {*theirs.ids.values(), run_id}:
        assert text not in "".join(metrics)
