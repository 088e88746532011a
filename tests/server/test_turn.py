"""Servers that prepare one database, each in its turn."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
import pytest

import waiting
from millstream.server.storage import postgres_migrations, postgres_turn
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import (
    SCHEMA,
    Address,
    let_take_long,
)
from millstream.server.storage.postgres_turn import TurnLeftError, in_turn, turn
from server.databases import make_tables_at

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
    make_tables_at(empty_database, "0009")
    monkeypatch.setattr(postgres_turn, "_TRY", _SLOW)
    all_are_here = threading.Barrier(4, timeout=60)
    make_indexes = postgres_migrations._make_indexes
    met: set[str] = set()

    def together(address: Address, schema: str, step: str, *others: Any) -> None:
        if step not in met:
            all_are_here.wait()
            met.add(step)
        make_indexes(address, schema, step, *others)

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


def test_who_is_told_to_end_does_not_wait_for_a_turn(empty_database: str) -> None:
    address, is_left = Address(empty_database), threading.Event()

    def wait() -> None:
        with turn(address, "test", is_left=is_left):
            raise AssertionError("another one has it")

    with ThreadPoolExecutor(1) as pool, turn(address, "test"):
        waiting_too = pool.submit(wait)
        is_left.set()
        with pytest.raises(TurnLeftError):
            waiting_too.result(60)


def test_who_is_cancelled_has_no_turn_whether_it_waited_or_not(
    empty_database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_turn, "_TOLD_AFTER", 0.0)
    address = Address(empty_database)

    async def have(is_ours: asyncio.Event) -> None:
        async with in_turn(address, "test"):
            is_ours.set()
            await asyncio.Event().wait()

    async def main() -> None:
        first = asyncio.Event()
        having = asyncio.create_task(have(first))
        await first.wait()
        second = asyncio.Event()
        waits = asyncio.create_task(have(second))
        assert await waiting.auntil(lambda: caplog.records)
        for each in (waits, having):
            each.cancel()
            with pytest.raises(asyncio.CancelledError):
                await each
        assert not second.is_set()

    with caplog.at_level(logging.WARNING, "millstream.server"):
        asyncio.run(main())
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith(f"another server prepares the database {address!r} (test), and is")
    with turn(address, "test", waits=False) as is_ours:
        assert is_ours


def test_a_turn_that_came_when_its_owner_was_cancelled_is_given_back(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address(empty_database)
    asks, goes_on = threading.Event(), threading.Event()
    connect = Address.connect

    def late(self: Address, **options: Any) -> Any:
        asks.set()
        assert goes_on.wait(60)
        return connect(self, **options)

    async def have() -> None:
        async with in_turn(address, "test"):
            raise AssertionError("it was cancelled before")

    async def main() -> None:
        having = asyncio.create_task(have())
        await asyncio.to_thread(asks.wait, 60)
        having.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await having

    with monkeypatch.context() as slow:
        slow.setattr(Address, "connect", late)
        asyncio.run(main())
    with turn(address, "test", waits=False) as is_ours:
        assert is_ours


def test_an_index_that_nobody_waits_for_any_more_is_not_made(empty_database: str) -> None:
    address = Address(empty_database)

    def make(connection: Any) -> None:
        with pytest.raises(psycopg.OperationalError):
            connection.execute("CREATE INDEX CONCURRENTLY ix_filled ON filled (n)")

    with (
        psycopg.connect(empty_database, autocommit=True) as other,
        psycopg.connect(empty_database) as using,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("CREATE TABLE filled AS SELECT generate_series(1, 10) AS n")
        # It is waited for until this one is over.
        using.execute("LOCK TABLE filled IN ROW EXCLUSIVE MODE")
        connection = address.connect()
        let_take_long(connection, 30)
        at = connection.info.backend_pid

        def is_at_it() -> bool:
            look = "SELECT query FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
            return other.execute(look, [at]).fetchone() is not None

        making = pool.submit(make, connection)
        assert waiting.until(is_at_it)
        # As the end of a process does.
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)
        making.result(60)
        connection.close()
        assert waiting.until(lambda: not is_at_it(), 20)
        using.rollback()
