"""What ended runs have said is forgotten, some runs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from millstream.server.log.run_log import Entry
from millstream.server.storage import events
from millstream.server.storage.database import Database
from millstream.server.storage.tables import run_events, runs, threads

LONG_AGO, BEFORE, NOW = "2026-01-01", "2026-02-01", "2026-03-01"


def add(connection: Connection, names: Iterable[str], ended_at: str | None, count: int = 3) -> None:
    """Add runs that have said something, or nothing."""
    fixed = {"created_at": LONG_AGO, "updated_at": LONG_AGO, "metadata": {}}
    for name in names:
        thread = {"thread_id": name, "status": "idle", "state_updated_at": LONG_AGO, "config": {}}
        connection.execute(insert(threads).values(**fixed, **thread))
        run = {"run_id": name, "thread_id": name, "assistant_id": "a", "status": "success"}
        connection.execute(
            insert(runs).values(
                **fixed, **run, multitask_strategy="enqueue", kwargs={}, ended_at=ended_at
            )
        )
        said = [Entry(seq, 1, "values", b"frame") for seq in range(1, count + 1)]
        events.append(connection, name, said)


def speakers(connection: Connection) -> set[str]:
    """Return the runs whose events are stored."""
    return set(connection.scalars(select(run_events.c.run_id)))


def call(db: Database, function: Callable[..., Any], *args: Any) -> Any:
    """Return what a function of a connection returns, once it is committed."""
    return asyncio.run(db.write(function, *args))


def test_events_are_forgotten_of_runs_that_ended_long_ago_alone(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are, some at a time."""
    monkeypatch.setattr(events, "FORGOTTEN_TOGETHER", 4)
    call(db, add, [f"{number}" for number in range(0, 20, 2)], LONG_AGO)
    call(db, add, [f"{number}" for number in range(1, 20, 4)], NOW)
    call(db, add, [f"{number}" for number in range(3, 20, 4)], None)
    assert [call(db, events.forget, BEFORE) for _ in range(4)] == [4, 4, 2, 0]
    assert call(db, speakers) == {f"{number}" for number in range(1, 20, 2)}


def test_nothing_is_forgotten_where_nothing_was_said(db: Database) -> None:
    assert call(db, events.forget, BEFORE) == 0
    call(db, add, ["silent"], LONG_AGO, 0)
    assert call(db, events.forget, BEFORE) == 0
    assert call(db, lambda connection: connection.scalar(select(func.count()).select_from(runs)))


@pytest.mark.parametrize("db", ["sqlite"], indirect=True)
def test_what_forgetting_costs_does_not_grow_with_the_runs_that_are_kept(db: Database) -> None:
    """Counted in steps of the database."""

    def steps(connection: Connection) -> int:
        count = [0]

        def note() -> None:
            count[0] += 1

        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(note, 1)
        try:
            assert events.forget(connection, BEFORE) == 5
        finally:
            driver.set_progress_handler(None, 0)
        return count[0]

    counts = []
    for size in (10, 400):
        call(db, add, [f"kept {size} {number}" for number in range(size)], LONG_AGO, 0)
        call(db, add, [f"speaking {size} {number}" for number in range(5)], LONG_AGO)
        counts.append(call(db, steps))
    assert counts[1] <= counts[0] * 1.2
