"""The database: who writes, who shares a commit, what is undone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, select, text

from millstream.server.encoding import dumps
from millstream.server.errors import ConfigError
from millstream.server.storage import assistants, tables
from millstream.server.storage.database import Database, DatabaseClosedError
from millstream.server.storage.migrations import HEAD, NewerDatabaseError
from millstream.server.storage.postgres_indexes import INDEXES
from millstream.server.storage.queries import unread
from millstream.server.storage.sqlite import SqliteDatabase
from millstream.server.storage.tables import metadata, threads
from millstream.server.storage.threads import create, search
from millstream.server.storage.times import now


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """Give a database in a file."""
    database = SqliteDatabase(tmp_path / "server.db")
    yield database
    database.close()


def insert(connection: Connection, thread_id: str) -> str:
    """Make a thread."""
    create(connection, thread_id, metadata={})
    return thread_id


def ids(connection: Connection) -> list[str]:
    """Return the ids of all threads."""
    return sorted(connection.scalars(select(threads.c.thread_id)))


def test_those_who_wait_share_a_commit_and_each_has_its_answer(file: Database) -> None:
    commits = []
    event.listen(file.engine, "commit", lambda _: commits.append(1))
    held, go = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        held.set()
        go.wait()

    async def write() -> list[Any]:
        file.write_soon(hold)
        await asyncio.to_thread(held.wait)
        waiting = [asyncio.ensure_future(file.write(insert, str(n))) for n in range(5)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(write()) == ["0", "1", "2", "3", "4"]
    assert len(commits) == 2


def test_what_fails_undoes_its_own_writes_alone(db: Database) -> None:
    def fail(connection: Connection) -> None:
        insert(connection, "half")
        raise ValueError("no")

    async def write() -> list[Any]:
        return await asyncio.gather(
            db.write(insert, "a"), db.write(fail), db.write(insert, "b"), return_exceptions=True
        )

    first, second, third = asyncio.run(write())

    assert (first, third) == ("a", "b")
    assert isinstance(second, ValueError)
    assert asyncio.run(db.read(ids)) == ["a", "b"]


def test_who_was_cancelled_before_its_turn_has_written_nothing(file: Database) -> None:
    held, go = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        held.set()
        go.wait()

    async def write() -> None:
        file.write_soon(hold)
        await asyncio.to_thread(held.wait)
        waiting = asyncio.ensure_future(file.write(insert, "x"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        await file.write(insert, "y")

    asyncio.run(write())

    assert asyncio.run(file.read(ids)) == ["y"]


def test_closing_writes_what_was_given_before_and_refuses_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    first = SqliteDatabase(path)
    soon = [first.write_soon(insert, str(n)) for n in range(3)]
    first.close()
    first.close()

    assert [one.result() for one in soon] == ["0", "1", "2"]
    for ask in (first.read, first.write):
        with pytest.raises(DatabaseClosedError):
            asyncio.run(ask(ids))
    second = SqliteDatabase(path)
    assert asyncio.run(second.read(ids)) == ["0", "1", "2"]
    second.close()


def test_the_migrations_make_the_tables_that_the_code_means(db: Database) -> None:
    def is_of_both(_: Any, name: str | None, *__: Any) -> bool:
        return name not in {index.name for index in INDEXES}

    def compare(connection: Connection) -> list[Any]:
        options = {"include_object": is_of_both}
        context = MigrationContext.configure(connection, opts=options)
        assert context.get_current_revision() == HEAD
        return list(compare_metadata(context, metadata))

    assert asyncio.run(db.read(compare)) == []


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    first = SqliteDatabase(path)

    def change(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '9'"))
        # Nor can it be used by those of before.
        connection.execute(text("UPDATE usable_from SET step = '9'"))

    asyncio.run(first.write(change))
    first.close()

    with pytest.raises(NewerDatabaseError, match="newer version of millstream"):
        SqliteDatabase(path)


def test_times_sort_as_texts(file: Database) -> None:
    first, second = (asyncio.run(file.write(now)) for _ in range(2))

    assert first <= second
    assert len(first) == len("2026-11-20T23:25:54.046501+00:00")


def test_what_fails_among_others_for_a_lost_transaction_is_told_to_all(file: Database) -> None:
    held, go = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        held.set()
        go.wait()

    def lose(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")  # as the database does when the disk is full
        raise OSError("no space")

    async def write() -> list[Any]:
        file.write_soon(hold)
        await asyncio.to_thread(held.wait)
        calls = (file.write(insert, "a"), file.write(lose), file.write(insert, "b"))
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(error) for error in asyncio.run(write())] == ["no space"] * 3
    assert asyncio.run(file.read(ids)) == []
    assert asyncio.run(file.write(insert, "c")) == "c"


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "ix_threads_listed_created_at"),
        ({"sort_by": "updated_at", "offset": 3}, "ix_threads_listed_updated_at"),
        ({"status": "idle"}, "ix_threads_listed_status"),
    ],
)
def test_threads_are_found_and_counted_without_reading_their_values(
    file: Database, asked: dict[str, Any], index: str
) -> None:
    plans: list[list[str]] = []

    def explain(_: Any, cursor: Any, statement: str, values: Any, *__: Any) -> None:
        if statement.startswith("SELECT"):
            steps = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.append([step[3] for step in steps])

    given: dict[str, Any] = {
        "ids": None, "metadata": {}, "values": {}, "status": None, "select": None,
        "sort_by": "created_at", "sort_order": "desc", "limit": 2, "offset": 0,
    }  # fmt: skip

    async def main() -> Any:
        for number in range(9):
            await file.write(insert, str(number))
        event.listen(file.engine, "before_cursor_execute", explain)
        return await file.read(search, **{**given, **asked})

    found = asyncio.run(main())

    assert found.total == 9
    [looked_for, counted] = plans
    # Rows are read by their keys, when it is known which ones; nothing is sorted before that.
    # SQLite makes the keys a table of their own, or, from 3.53 on, takes them one by one.
    assert looked_for[0] in ("MATERIALIZE anon_1", "CO-ROUTINE anon_1")
    assert f"INDEX {index}" in looked_for[1]
    assert looked_for[2:4] == [
        "SCAN anon_1",
        "SEARCH threads USING INDEX sqlite_autoindex_threads_1 (thread_id=?)",
    ]
    assert "INDEX ix_threads_listed_" in " ".join(counted)


@pytest.mark.parametrize(
    "text", ["a\0b", "\x10", "\x100", "\0\x10\0001", r"\u0000", "\\\0", "ä 😀"]
)
def test_texts_are_kept_exactly_whatever_is_in_them(db: Database, text: str) -> None:
    value = {"z": [text, {text: 1}], "a": 1.0, "m": -0.0, "big": 2**60, "deep": {"b": 1, "a": 2}}

    def write(connection: Connection) -> None:
        assistants.create(
            connection,
            "a",
            {"graph_id": "g", "name": text, "metadata": {"key": text}, "config": value},
            must_be_new=True,
        )

    def read(connection: Connection) -> Any:
        asked: dict[str, Any] = {
            "metadata": {"key": text}, "graph_id": "g", "name": None, "select": None,
            "sort_by": "name", "sort_order": "asc", "limit": 9, "offset": 0,
        }  # fmt: skip
        [found] = assistants.search(connection, **asked).rows
        assert (
            assistants.search(connection, **{**asked, "metadata": {"key": text + "0"}}).rows == []
        )
        return found, connection.execute(select(unread(tables.assistants.c.config))).scalar()

    asyncio.run(db.write(write))
    found, raw = asyncio.run(db.read(read))

    assert (found["name"], found["metadata"]) == (text, {"key": text})
    assert found["config"] == value
    # In their order, and as they were written.
    assert dumps(found["config"]) == dumps(raw) == dumps(value)


def test_what_is_no_database_is_refused_by_its_name(tmp_path: Path) -> None:
    text = tmp_path / "app.py"
    text.write_text("print('no database, however long this line is')" * 100)

    for path, why in ((text, "file is not a database"), (tmp_path, "unable to open")):
        with pytest.raises(ConfigError, match=rf"{path.name} cannot be used: {why}"):
            SqliteDatabase(path)
