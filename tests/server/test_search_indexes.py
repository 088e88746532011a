"""The indexes of metadata that PostgreSQL has: who makes them, and that searches use them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import Connection, event

import waiting
from millstream.server.storage import assistants, crons, postgres_indexes, threads
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import SCHEMA, Address
from millstream.server.storage.postgres_indexes import INDEXES, missing
from millstream.server.storage.postgres_turn import turn
from server.databases import new_postgres

COUNT: Final = 10_000
FILL: Final = (
    """
    INSERT INTO assistants SELECT 'a' || n, 'graph', 'a', NULL, 1, 'time ' || n, '', metadata,
        '{}', '{}' FROM known
    """,
    """
    INSERT INTO crons (cron_id, assistant_id, schedule, created_at, updated_at, metadata, payload)
    SELECT 'c' || n, 'a' || n, '* * * * *', 'time ' || n, '', metadata, '{}' FROM known
    """,
    """
    INSERT INTO threads (thread_id, status, created_at, updated_at, state_updated_at, metadata,
        config, "values")
    SELECT 't' || n, 'idle', 'time ' || n, 'time ' || n, '', metadata, '{}', '{"a": 1}' FROM known
    """,
)
KNOWN: Final = f"""
CREATE TEMPORARY TABLE known ON COMMIT DROP AS SELECT n, jsonb_build_object(
    'number', n, 'owner', 'user ' || n % 500, 'tags', jsonb_build_array('all', 'tag ' || n % 500),
    'graph_id', 'graph'
) AS metadata FROM generate_series(1, {COUNT}) AS n
"""

INDEXES_OF_STEPS: Final = f"millstream.server indexes {SCHEMA}"
"""The turn of who makes what `migrations.indexes` says."""


def fill(connection: Connection) -> None:
    """Make many threads, assistants and crons."""
    for statement in (KNOWN, *FILL):
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresDatabase]:
    """Give a database with much in it."""
    with new_postgres() as address:
        database = PostgresDatabase(Address(address))
        asyncio.run(database.write(fill))
        yield database
        database.close()


@contextmanager
def explaining(database: PostgresDatabase) -> Iterator[list[str]]:
    """Give how the database does what it is asked for in the block."""
    plans: list[str] = []

    def explain(_: Any, cursor: Any, statement: str, values: Any, *__: Any) -> None:
        if statement.startswith("SELECT"):
            steps = cursor.execute(f"EXPLAIN {statement}", values, prepare=False).fetchall()
            plans.append("\n".join(step[0] for step in steps))

    event.listen(database.engine, "before_cursor_execute", explain)
    yield plans
    event.remove(database.engine, "before_cursor_execute", explain)


def asked(**given: Any) -> dict[str, Any]:
    """Return how to look for something."""
    known = {"sort_by": "created_at", "sort_order": "desc", "limit": 10, "offset": 0}
    return {"metadata": {}, "select": None, **known, **given}


FEW: Final = [
    ({"metadata": {"number": 77}}, 1),
    ({"metadata": {"number": 77, "owner": "user 77"}}, 1),
    ({"metadata": {"owner": "nobody"}}, 0),
    ({"metadata": {"owner": "user 5"}}, COUNT // 500),
    ({"metadata": {"number": 505}, "filters": {"owner": "user 5"}}, 1),
    ({"metadata": {}, "filters": {"tags": {"$contains": "tag 7"}}}, COUNT // 500),
]
KINDS: Final = {
    "threads": (threads.search, {"ids": None, "values": {}, "status": None}),
    "assistants": (assistants.search, {"graph_id": None, "name": None}),
    "crons": (crons.search, {"assistant_id": None, "thread_id": None, "enabled": None}),
}


@pytest.mark.parametrize("is_analyzed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_looked_for_by_its_metadata_is_found_without_reading_all(
    full: PostgresDatabase, kind: str, is_analyzed: bool
) -> None:
    search, more = KINDS[kind]
    if is_analyzed:
        asyncio.run(full.write(lambda c: c.exec_driver_sql(f"ANALYZE {kind}")))
    for wanted, count in FEW:
        with explaining(full) as plans:
            found = asyncio.run(full.read(search, **asked(**more, **wanted)))

        assert (len(found.rows), found.total) == (min(count, 10), count)
        assert len(plans) == (2 if count >= 10 else 1)
        for plan in plans:
            assert f"Bitmap Index Scan on ix_{kind}_metadata" in plan, plan
            assert "Seq Scan" not in plan, plan


def test_the_newest_of_many_are_found_without_reading_all(full: PostgresDatabase) -> None:
    search, more = KINDS["threads"]
    asyncio.run(full.write(lambda c: c.exec_driver_sql("ANALYZE threads")))
    with explaining(full) as plans:
        wanted = {"metadata": {"graph_id": "graph"}}
        found = asyncio.run(full.read(search, **asked(**more, **wanted)))

    assert found.total == COUNT
    assert "using ix_threads_listed_created_at" in plans[0]
    assert "Seq Scan" not in plans[0]


def valid(address: str) -> list[str]:
    """Return the names of the indexes that are whole."""
    with Address(address).connect() as connection:
        lacking = missing(connection, SCHEMA)
    return [index.name for index in INDEXES if index not in lacking]


def without(address: str, name: str) -> None:
    """Make the tables, and take an index away that older ones lack."""
    PostgresDatabase(Address(address)).close()
    assert valid(address) == [index.name for index in INDEXES]
    with Address(address).connect() as connection:
        connection.execute(f"DROP INDEX {SCHEMA}.{name}")
    assert name not in valid(address)


INSERT: Final = """
INSERT INTO millstream.threads (thread_id, status, created_at, updated_at, state_updated_at,
    metadata, config) VALUES (%s, 'idle', '', '', '', '{}', '{}')
"""


def test_others_write_and_start_while_an_index_is_made(new_database: str) -> None:
    without(new_database, "ix_threads_metadata")
    with (
        ThreadPoolExecutor(1) as pool,
        Address(new_database).connect() as reader,
        Address(new_database).connect() as writer,
    ):
        writer.execute("SET lock_timeout = '20 s'")
        with reader.transaction():
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM millstream.threads")
            first = pool.submit(PostgresDatabase, Address(new_database))
            # It waits for who may have seen the table without the index.
            query = (
                "SELECT count(*) FROM pg_stat_progress_create_index "
                "WHERE datname = current_database() AND phase LIKE 'waiting for %'"
            )
            assert waiting.until(lambda: writer.execute(query).fetchone() == (1,))
            # Nor does who takes a step make another index meanwhile: each would wait for the other.
            with turn(Address(new_database), INDEXES_OF_STEPS, waits=False) as is_free:
                assert not is_free
            writer.execute(INSERT, ["a"])
            second = PostgresDatabase(Address(new_database))
            assert "ix_threads_metadata" not in valid(new_database)
            assert not first.done()
        databases = [first.result(), second]

    assert valid(new_database) == [index.name for index in INDEXES]
    for database in databases:
        database.close()


def test_an_index_that_could_not_be_made_is_made_later(
    new_database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(new_database, "ix_threads_metadata")
    with Address(new_database).connect() as reader, reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM millstream.threads")
        with monkeypatch.context() as patched:
            patched.setattr(postgres_indexes, "_PATIENCE", 0.1)
            PostgresDatabase(Address(new_database)).close()

    [told] = [record.getMessage() for record in caplog.records]
    assert "lacks an index for searches by metadata" in told
    assert "lock timeout" in told
    assert "ix_threads_metadata" not in valid(new_database)
    PostgresDatabase(Address(new_database)).close()
    assert valid(new_database) == [index.name for index in INDEXES]
