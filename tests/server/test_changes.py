"""Threads that are changed beside their runs: one thing at a time, whole or not at all."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

import waiting
from millstream.server import state
from millstream.server.errors import ApiError
from millstream.server.runs.starting import Starting
from millstream.server.storage import changes
from millstream.server.storage import threads as rows
from millstream.server.storage.database import Database
from millstream.server.storage.tables import thread_changes
from millstream.server.storage.tables import threads as thread_table
from server.copies import copy_files, copying, journal_of
from server.fixtures import Running, config_of, running
from server.streams import start, thread
from server.test_recovery import COUNT, Gate, ended, left_by

DONE = [*range(COUNT)]


def update(server: Running, at: str, seen: list[int], **more: Any) -> httpx.Response:
    """Write to the state of a thread."""
    body = {"values": {"seen": seen}, "as_node": "step", **more}
    return server.http.post(f"/threads/{at}/state", json=body)


def seen(server: Running, at: str) -> Any:
    """Return what is in the state of a thread, and in its row."""
    stored = server.http.get(f"/threads/{at}/state").json()["values"].get("seen")
    shown = (server.http.get(f"/threads/{at}").json()["values"] or {}).get("seen")
    assert shown == stored
    return stored


def noted_changes(connection: Connection) -> list[Any]:
    """Return the threads with which something is under way, and what."""
    query = select(thread_changes.c.thread_id, thread_changes.c.kind)
    return [tuple(row) for row in connection.execute(query)]


def under_way(server: Running) -> list[Any]:
    """Return the changes that are noted."""
    found: list[Any] = asyncio.run(server.service.db.read(noted_changes))
    return found


def test_a_state_is_not_updated_while_a_run_would_take_its_place(tmp_path: Path) -> None:
    gate = Gate(3)
    with running(config_of(gate.graphs(), tmp_path)) as server:
        at = thread(server)
        run_id = start(server, at, "steps", {})["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        history = server.http.get(f"/threads/{at}/history").json()
        fill = {
            "thread_id": at,
            "graph_id": "steps",
            "if_exists": "do_nothing",
            "supersteps": [{"updates": [{"values": {"seen": [9]}, "as_node": "step"}]}],
        }

        for answer in (
            update(server, at, [9]),
            update(server, at, [9], checkpoint_id=history[-1]["checkpoint_id"]),
            server.http.post("/threads", json=fill),
        ):
            assert answer.status_code == 409
            told = answer.json()["detail"]
            assert told.startswith(f"Run {run_id} is under way in thread {at}")
            assert f"/threads/{at}/runs/{run_id}/cancel?wait=true" in told
        assert server.http.get(f"/threads/{at}/history").json() == history

        gate.is_open = True
        assert ended(server, at, run_id) == "success"
        assert update(server, at, [9]).status_code == 200
        assert server.http.post("/threads", json=fill).status_code == 200
        assert seen(server, at) == [*DONE, 9, 9]


def test_a_run_that_waits_goes_on_from_what_was_updated_meanwhile(tmp_path: Path) -> None:
    gate = Gate(-1)
    with running(config_of(gate.graphs(), tmp_path)) as server:
        at = thread(server)
        ended(server, at, start(server, at, "steps", {})["run_id"])
        later = start(server, at, "steps", {}, after_seconds=3600)["run_id"]

        assert update(server, at, [9]).status_code == 200

        assert seen(server, at) == [*DONE, 9]
        assert server.http.get(f"/threads/{at}").json()["status"] == "busy"
        assert server.http.get(f"/threads/{at}/runs/{later}").json()["status"] == "pending"


def test_a_run_begins_when_the_update_is_done_that_came_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(-1)
    begun, go = threading.Event(), threading.Event()
    write = state.update

    async def held(*args: Any) -> Any:
        begun.set()
        await waiting.auntil(go.is_set)
        return await write(*args)

    monkeypatch.setattr(state, "update", held)
    with running(config_of(gate.graphs(), tmp_path)) as server, ThreadPoolExecutor() as pool:
        at = thread(server)
        ended(server, at, start(server, at, "steps", {})["run_id"])
        updated = pool.submit(update, server, at, [9])
        assert begun.wait(30)
        run_id = start(server, at, "steps", {})["run_id"]
        elsewhere = thread(server)
        assert ended(server, elsewhere, start(server, elsewhere, "steps", {})["run_id"])
        assert server.http.get(f"/threads/{at}/runs/{run_id}").json()["status"] == "pending"

        go.set()
        assert updated.result().status_code == 200
        assert ended(server, at, run_id) == "success"
        assert seen(server, at) == [*DONE, 9, COUNT + 1]
        assert under_way(server) == []


def test_updates_that_come_at_once_are_all_in_the_state(tmp_path: Path) -> None:
    gate = Gate(-1)
    with running(config_of(gate.graphs(), tmp_path)) as server, ThreadPoolExecutor(8) as pool:
        at = thread(server)
        ended(server, at, start(server, at, "steps", {})["run_id"])

        answers = list(pool.map(lambda n: update(server, at, [n]).status_code, range(10, 18)))

        assert answers == [200] * 8
        assert sorted(seen(server, at)) == [*DONE, *range(10, 18)]


def test_an_update_that_is_refused_holds_up_nobody(tmp_path: Path) -> None:
    gate = Gate(-1)
    with running(config_of(gate.graphs(), tmp_path)) as server:
        at = thread(server, graph_id="steps")
        assert update(server, at, [9], as_node="nobody").status_code == 400
        assert under_way(server) == []
        assert ended(server, at, start(server, at, "steps", {})["run_id"]) == "success"


def test_a_change_goes_on_when_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    gate = Gate(-1)
    with running(config_of(gate.graphs(), tmp_path)) as server:
        at = thread(server, graph_id="steps")
        noted: list[Any] = []

        async def leave() -> None:
            go = asyncio.Event()
            begun = asyncio.Event()

            async def change() -> None:
                begun.set()
                await go.wait()
                noted.extend(await server.service.db.read(noted_changes))
                await server.service.db.write(changes.end, at)

            doing = asyncio.ensure_future(server.service.scheduler.changes.update(at, change))
            await begun.wait()
            doing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await doing
            go.set()

        asyncio.run_coroutine_threadsafe(leave(), server.loop).result()
        assert waiting.until(lambda: noted and not under_way(server))
        assert noted == [(at, "update")]


def test_the_state_of_a_run_that_waits_to_be_gone_on_with_is_not_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(3)
    known: dict[str, str] = {}

    def act(server: Running) -> None:
        known["thread"] = thread(server)
        known["run"] = start(server, known["thread"], "steps", {})["run_id"]

    copy = left_by(tmp_path, gate, act)

    async def begin_nothing(_: Starting) -> None:
        pass

    monkeypatch.setattr(Starting, "fill", begin_nothing)
    with running(config_of(gate.graphs(), copy)) as server:
        answer = update(server, known["thread"], [9])

    assert answer.status_code == 409
    assert known["run"] in answer.json()["detail"]


def stored(here: Path) -> set[str]:
    """Return the threads of which checkpoints are stored in the files of a server."""
    with journal_of(here) as journal:
        return {one.config["configurable"]["thread_id"] for one in journal.list(None)}


def delete(server: Running, at: str) -> None:
    assert server.http.delete(f"/threads/{at}").status_code == 204


def make_copy(server: Running, at: str) -> None:
    assert server.http.post(f"/threads/{at}/copy").status_code == 200


NEW = str(uuid.uuid4())
FILLED = {
    "thread_id": NEW,
    "graph_id": "steps",
    "supersteps": [{"updates": [{"values": {"seen": [1, 2]}, "as_node": "step"}]}],
}


def make_with_state(server: Running, at: str) -> None:
    assert server.http.post("/threads", json=FILLED).status_code == 200


def run_alone(server: Running, at: str) -> None:
    body = {"assistant_id": "steps", "input": {}}
    assert server.http.post("/runs/wait", json=body).json() == {"seen": DONE}


def run_alone_and_resumable(server: Running, at: str) -> None:
    body = {"assistant_id": "steps", "input": {}, "stream_resumable": True}
    assert server.http.post("/runs/stream", json=body).status_code == 200


@pytest.mark.parametrize(
    ("act", "method", "when", "is_left"),
    [
        (delete, "adelete_thread", "before", False),
        (delete, "adelete_thread", "after", False),
        (make_copy, "acopy_thread", "before", True),
        (make_copy, "acopy_thread", "after", True),
        (run_alone, "adelete_thread", "before", True),
        (run_alone, "adelete_thread", "after", True),
        (run_alone_and_resumable, "adelete_thread", "before", True),
    ],
)
def test_nothing_is_left_of_what_a_death_has_cut_off(
    act: Callable[[Running, str], None],
    method: str,
    when: str,
    is_left: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    with running(config_of(Gate(-1).graphs(), first)) as server:
        at = thread(server)
        ended(server, at, start(server, at, "steps", {})["run_id"])
        journal = server.service.journal
        work = copying(getattr(journal, method), lambda: copy_files(first, copy), when)
        monkeypatch.setattr(journal, method, work)
        act(server, at)
        assert waiting.until(lambda: not under_way(server))

    with running(config_of(Gate(-1).graphs(), copy)) as server:
        # On PostgreSQL others first have to notice that the one before is gone.
        assert waiting.until(lambda: under_way(server) == [])
        assert server.http.get(f"/threads/{at}").status_code == (200 if is_left else 404)
        listed = server.http.post("/threads/search", json={}).json()
        assert [each["thread_id"] for each in listed] == ([at] if is_left else [])
    assert stored(copy) == ({at} if is_left else set())


def test_a_thread_that_was_to_be_made_with_a_state_is_not_there_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    work = copying(state.write_supersteps, lambda: copy_files(first, copy), "after")
    monkeypatch.setattr(state, "write_supersteps", work)
    with running(config_of(Gate(-1).graphs(), first)) as server:
        make_with_state(server, "")
        assert seen(server, NEW) == [1, 2]

    with running(config_of(Gate(-1).graphs(), copy)) as server:
        assert waiting.until(lambda: under_way(server) == [])
        assert server.http.get(f"/threads/{NEW}").status_code == 404
        make_with_state(server, "")
        assert seen(server, NEW) == [1, 2]
        assert under_way(server) == []


def test_what_was_updated_when_a_server_died_is_shown_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    keep = rows.set_state

    def copy_and_keep(*args: Any, **kwargs: Any) -> None:
        copy_files(first, copy)
        keep(*args, **kwargs)

    monkeypatch.setattr(rows, "set_state", copy_and_keep)
    with running(config_of(Gate(-1).graphs(), first)) as server:
        at = thread(server)
        ended(server, at, start(server, at, "steps", {})["run_id"])
        assert update(server, at, [9]).status_code == 200

    monkeypatch.setattr(rows, "set_state", keep)
    with running(config_of(Gate(-1).graphs(), copy)) as server:
        # Where others could be there, it answers before it has looked what the dead one held.
        assert waiting.until(lambda: under_way(server) == [])
        assert seen(server, at) == [*DONE, 9]
        assert ended(server, at, start(server, at, "steps", {})["run_id"]) == "success"
        assert under_way(server) == []


def test_what_cannot_be_shown_any_more_holds_up_nobody(tmp_path: Path) -> None:
    with running(config_of(Gate(-1).graphs(), tmp_path)) as server:
        at = thread(server, graph_id="gone")
        asyncio.run(server.service.db.write(changes.begin_update, at, "me"))
    with running(config_of(Gate(-1).graphs(), tmp_path)) as server:
        assert under_way(server) == []
        assert ended(server, at, start(server, at, "steps", {})["run_id"]) == "success"


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_nothing_is_left_of_a_run_alone_that_was_cancelled_before_it_began(
    action: str, tmp_path: Path
) -> None:
    config = config_of(Gate(-1).graphs(), tmp_path, event_retention_seconds=0.01)
    with running(config) as server:
        body = {"assistant_id": "steps", "input": {}, "after_seconds": 3600}
        run = server.http.post("/runs", json=body).json()
        many = {"thread_id": run["thread_id"], "run_ids": [run["run_id"]]}
        path = "/runs/cancel"
        assert server.http.post(path, json=many, params={"action": action}).status_code == 204

        at = f"/threads/{run['thread_id']}"
        assert waiting.until(lambda: server.http.get(at).status_code == 404)
        assert waiting.until(lambda: not under_way(server))


def test_what_another_server_has_taken_over_is_neither_kept_nor_ended(db: Database) -> None:
    def row(connection: Connection) -> Any:
        query = select(thread_table.c.status, thread_table.c["values"])
        return tuple(connection.execute(query.where(thread_table.c.thread_id == "at")).one())

    def write(function: Any, *given: Any, **named: Any) -> Any:
        return db.write_soon(function, *given, **named).result(30)

    left = {"values": {"seen": [9]}, "interrupts": {}, "is_asking": False}
    write(rows.create, "at", metadata={})
    write(changes.begin_update, "at", "other")

    write(rows.set_state, "at", **left, holder="me")
    write(changes.end_own, "at", "me")
    with pytest.raises(ApiError, match="was taken for dead"):
        write(rows.copy, "at", "at", {}, holder="me")
    assert write(row) == ("idle", None)
    assert write(noted_changes) == [("at", "update")]

    write(rows.set_state, "at", **left, holder="other")
    assert write(row) == ("idle", {"seen": [9]})
    assert write(noted_changes) == []
