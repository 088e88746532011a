"""Tables that a newer version brings up to date while others use them, and use afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text

from millstream.journal import PostgresJournal
from millstream.journal.postgres_schema import MIGRATIONS, usable_as
from millstream.journal.storage import NewerSchemaError
from millstream.server.config import ServerConfig
from millstream.server.errors import ConfigError
from millstream.server.storage import migrations, postgres_migrations
from millstream.server.storage.database import Database
from millstream.server.storage.migrations import HEAD, USABLE_FROM, NewerDatabaseError, is_usable
from millstream.server.storage.opening import open_database
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import SCHEMA, Address
from millstream.server.updating import missing
from server.databases import empty_postgres, make_tables_at

NEXT = "9999"
"""A step that is not there."""


@pytest.mark.parametrize(
    ("found", "usable_from", "expected"),
    [
        ("0001", None, True),
        (HEAD, None, True),
        (HEAD, USABLE_FROM, True),
        (NEXT, HEAD, True),
        (NEXT, USABLE_FROM, True),
        (NEXT, NEXT, False),
        (NEXT, None, False),
    ],
)
def test_newer_tables_say_who_may_use_them(
    found: str, usable_from: str | None, *, expected: bool
) -> None:
    assert is_usable(found, usable_from) == expected


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerConfig]:
    """Give the configuration of a server with a database of its own."""
    if request.param == "sqlite":
        yield ServerConfig(database=str(tmp_path / "server.db"))
    else:
        with empty_postgres() as address:
            yield ServerConfig(database=address)


def write(db: Database, *statements: str) -> None:
    def execute(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    db.write_soon(execute).result(30)


def take_next(db: Database, usable_from: str) -> None:
    """Take a step that this version does not know."""
    write(
        db,
        "ALTER TABLE runs ADD COLUMN made_up INTEGER DEFAULT 7 NOT NULL",
        f"UPDATE alembic_version SET version_num = '{NEXT}'",
        f"UPDATE usable_from SET step = '{usable_from}'",
    )


def test_a_server_may_be_started_again_where_a_newer_one_has_been(config: ServerConfig) -> None:
    with closing(open_database(config, None)) as db:
        take_next(db, usable_from=HEAD)
        write(db, "INSERT INTO thread_changes (thread_id, kind, begun_at) VALUES ('a', 'b', 'c')")
    for _ in range(2):
        with closing(open_database(config, None)) as db:
            write(db, "UPDATE thread_changes SET kind = 'd'")

            def noted(connection: Connection) -> Any:
                return migrations.revision(connection), migrations.usable_from(connection)

            # Nothing is taken back of what is newer.
            assert db.write_soon(noted).result(30) == (NEXT, HEAD)
    assert missing(config) == {}


def test_tables_that_cannot_be_used_are_refused_and_left_as_they_are(config: ServerConfig) -> None:
    with closing(open_database(config, None)) as db:
        take_next(db, usable_from=NEXT)

    told = f"has taken step {NEXT}, whoever uses it has to know step {NEXT}; this version knows"
    with pytest.raises((NewerDatabaseError, ConfigError), match=told):
        open_database(config, None).close()
    with pytest.raises(ConfigError, match=told):
        missing(config)


def use(connection: psycopg.Connection[Any]) -> None:
    """Have a table as readers have it, until a transaction ends; but see nothing of before.

    Else who makes an index waits for that.
    """
    connection.execute(f"LOCK TABLE {SCHEMA}.replicas IN ACCESS SHARE MODE")


def test_nobody_waits_while_a_step_waits_for_those_who_use_a_table(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables_at(empty_database, "0009")
    monkeypatch.setattr(postgres_migrations, "LOCK_TIMEOUT", "50ms")
    tries: list[str] = []
    make_indexes = postgres_migrations._make_indexes
    has_tried = threading.Event()

    def noting(address: Address, schema: str, step: str, *others: Any) -> None:
        make_indexes(address, schema, step, *others)
        tries.append(step)
        if len(tries) > 2:
            has_tried.set()

    monkeypatch.setattr(postgres_migrations, "_make_indexes", noting)
    opened: list[Database] = []
    opening = threading.Thread(
        target=lambda: opened.append(PostgresDatabase(Address(empty_database)))
    )
    with (
        psycopg.connect(empty_database) as using,
        psycopg.connect(empty_database, autocommit=True) as other,
    ):
        use(using)
        # What has been begun of an index, by somebody who was ended, is no use.
        other.execute(f"CREATE INDEX ix_runs_going_on ON {SCHEMA}.runs (run_id)")
        other.execute(
            "UPDATE pg_index SET indisvalid = false "
            f"WHERE indexrelid = '{SCHEMA}.ix_runs_going_on'::regclass"
        )
        opening.start()
        assert has_tried.wait(60)
        # Whoever comes while the step cannot be taken is not behind it for long.
        for n in range(20):
            other.execute(
                f"INSERT INTO {SCHEMA}.replicas VALUES (%s, 'a', 'b', 'c', 0.0)", [str(n)]
            )
            other.execute(f"SELECT count(*) FROM {SCHEMA}.replicas").fetchone()
        assert opened == []
        using.rollback()
        opening.join(60)
        [db] = opened
        db.close()
        row = other.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_runs_going_on'"
        ).fetchone()
        assert row is not None
        assert "(revision, priority, due_at, run_id)" in row[0]
        # What an older version has written has what it knows nothing of.
        slots = other.execute(f"SELECT DISTINCT slots FROM {SCHEMA}.replicas").fetchall()
        assert slots == [(1,)]


def test_tables_that_are_in_use_for_too_long_are_named(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tables_at(empty_database, "0009")
    monkeypatch.setattr(postgres_migrations, "LOCK_TIMEOUT", "20ms")
    monkeypatch.setattr(postgres_migrations, "PATIENCE", 0.2)
    with psycopg.connect(empty_database) as using:
        use(using)
        with pytest.raises(
            ConfigError, match=r"were in use for .* so step 0010 could not be taken"
        ):
            PostgresDatabase(Address(empty_database))


def test_a_journal_says_who_may_use_its_tables(empty_database: str) -> None:
    known = len(MIGRATIONS)
    assert usable_as(known, None) == usable_as(known + 1, known) == usable_as(known + 9, 1) == known
    assert usable_as(known + 1, None) == usable_as(known + 1, known + 1) == known + 1
    assert usable_as(0, None) == 0

    place: Any = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}
    note = f"UPDATE {SCHEMA}.journal_numbers SET value = %s WHERE name = %s"
    with PostgresJournal(empty_database) as journal:
        assert journal.get_tuple(place) is None
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(note, [known + 1, "version"])
    with PostgresJournal(empty_database) as journal:
        assert journal.get_tuple(place) is None
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(note, [known + 1, "oldest"])
    with (
        pytest.raises(NewerSchemaError),
        PostgresJournal(empty_database) as journal,
    ):
        journal.get_tuple(place)


class Ended(Exception):
    """The server has ended a transaction in which nothing was said for too long."""

    sqlstate = "25P03"


def test_a_process_that_was_too_slow_in_a_transaction_begins_it_again() -> None:
    asked: list[str] = []

    def write(function: Callable[..., Any], *args: Any) -> Any:
        asked.append(function.__name__)
        if asked in (["_next"], ["_next", "_next", "_take"]):
            raise Ended
        # It has no tables, and has them then.
        return "" if function is postgres_migrations._next and "_take" not in asked else None

    address = Address("postgresql://localhost/none")
    postgres_migrations.bring_up_to_date(write, address, "none", "millstream")

    assert asked == ["_next", "_next", "_take", "_take", "_next"]
