"""Servers that prepare one database, each in its turn."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg
import pytest

from millstream.server.storage import migrations, postgres_migrations, postgres_turn
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import SCHEMA, WRITES, Address, make_engine
from millstream.server.storage.postgres_turn import turn

_SLOW: Final = f"{postgres_turn._TRY} FROM pg_sleep(0.2)"
"""Who asks for a turn so is nearly always in a statement."""


def make_index(address: str) -> None:
    """Make an index that waits for whoever may see rows as they were, though not for ever."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE filled AS SELECT generate_series(1, 10) AS n")
        connection.execute("SET lock_timeout = '10 s'")
        connection.execute("CREATE INDEX CONCURRENTLY ix_filled ON filled (n)")


def test_who_has_the_turn_makes_an_index_while_others_ask_for_it(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address(empty_database)
    went: list[str] = []

    def wait() -> None:
        with turn(address, "test"):
            went.append("after")

    with ThreadPoolExecutor(3) as pool:
        with turn(address, "test"):
            monkeypatch.setattr(postgres_turn, "_TRY", _SLOW)
            waiting = [pool.submit(wait) for _ in range(3)]
            make_index(empty_database)
            went.append("first")
        for each in waiting:
            each.result(60)
    assert went == ["first", "after", "after", "after"]


def test_who_does_not_want_to_wait_is_told_that_somebody_else_has_the_turn(
    empty_database: str,
) -> None:
    address = Address(empty_database)
    with (
        turn(address, "test", waits=False) as is_ours,
        turn(address, "test", waits=False) as is_ours_too,
        turn(address, "another", waits=False) as is_another,
    ):
        assert (is_ours, is_ours_too, is_another) == (True, False, True)
    with pytest.raises(ValueError, match="no"), turn(address, "test"):
        raise ValueError("no")
    with turn(address, "test", waits=False) as is_ours:
        assert is_ours


def test_servers_that_start_at_once_make_the_index_of_a_step_once(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address(empty_database)
    engine = make_engine(address, SCHEMA, 1)
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        migrations.take(connection, "test", "0009")
    engine.dispose()
    monkeypatch.setattr(postgres_turn, "_TRY", _SLOW)
    all_are_here = threading.Barrier(4, timeout=60)
    make_indexes = postgres_migrations._make_indexes
    met: set[str] = set()

    def together(address: Address, schema: str, step: str) -> None:
        if step not in met:
            all_are_here.wait()
            met.add(step)
        make_indexes(address, schema, step)

    monkeypatch.setattr(postgres_migrations, "_make_indexes", together)
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: PostgresDatabase(address), range(4)))
    for each in opened:
        each.close()
    assert met
    with psycopg.connect(empty_database) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_index WHERE indexrelid = %s::regclass AND indisvalid",
            [f"{SCHEMA}.ix_runs_going_on"],
        ).fetchone()
    assert found == (1,)
