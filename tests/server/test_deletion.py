"""Threads that are deleted while somebody runs something on them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millstream.server.storage import assistants, threads
from millstream.server.storage.database import Database
from server.fixtures import Running
from server.streams import start, stream, thread
from server.test_queue import Run, add

SLOW = {"n": 500, "delay": 0.01}


@pytest.mark.real_time(reason="a run that goes on until it is cancelled")
def test_a_run_that_begins_while_its_thread_is_deleted_ends_with_it(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = thread(server)
    begun = [start(server, at, "slow", SLOW)["run_id"]]
    journal = server.service.journal
    delete = journal.adelete_thread

    async def delete_and_begin_another(thread_id: str) -> Any:
        await delete(thread_id)
        if len(begun) == 1:
            begun.append((await asyncio.to_thread(start, server, at, "slow", SLOW))["run_id"])

    monkeypatch.setattr(journal, "adelete_thread", delete_and_begin_another)
    assert server.http.delete(f"/threads/{at}").status_code == 204

    assert len(begun) == 2
    assert server.http.get(f"/threads/{at}").status_code == 404
    for run_id in begun:
        assert server.http.get(f"/threads/{at}/runs/{run_id}").status_code == 404
    assert server.service.scheduler.active == 0
    assert list(journal.list({"configurable": {"thread_id": at}})) == []


def test_a_run_that_ends_while_its_thread_is_deleted_leaves_no_checkpoints(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = thread(server)
    journal = server.service.journal
    delete = journal.adelete_thread
    said: list[Any] = []

    async def delete_and_run(thread_id: str) -> Any:
        await delete(thread_id)
        if not said:
            said.extend(await asyncio.to_thread(lambda: stream(server, "slow", {"n": 1}, at=at)))

    monkeypatch.setattr(journal, "adelete_thread", delete_and_run)
    assert server.http.delete(f"/threads/{at}").status_code == 204

    assert said
    assert server.http.get(f"/threads/{at}").status_code == 404
    assert list(journal.list({"configurable": {"thread_id": at}})) == []


def test_a_run_that_was_created_before_others_and_stored_after_them_is_seen(db: Database) -> None:
    db.write_soon(assistants.ensure_own, ["g"]).result(30)
    db.write_soon(add, Run("late", "at", "", 0, 2)).result(30)
    known = db.write_soon(threads.run_ids, "at").result(30)
    db.write_soon(add, Run("early", "at", "", 0, 1)).result(30)

    assert not db.write_soon(threads.delete, "at", None, known).result(30)
    known = db.write_soon(threads.run_ids, "at").result(30)
    assert known == {"early", "late"}
    assert db.write_soon(threads.delete, "at", None, known).result(30)
    assert db.write_soon(threads.run_ids, "at").result(30) == frozenset()
