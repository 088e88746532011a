"""A replica's lease and its lock, without a server around."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from millstream.server.replicas.membership import SharedMembership
from millstream.server.storage import assistants, replicas
from millstream.server.storage.database import Database
from millstream.server.storage.run_records import Holder
from server.databases import new_postgres
from server.test_queue import Run, add

pytest.importorskip("psycopg")


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    """Give a database in PostgreSQL."""
    from millstream.server.storage.postgres import PostgresDatabase
    from millstream.server.storage.postgres_engine import Address

    with new_postgres() as address:
        database = PostgresDatabase(Address(address))
        database.write_soon(assistants.ensure_own, ["g"]).result(30)
        yield database
        database.close()


def register(db: Database, *names: str) -> None:
    """Have replicas known, each for a minute."""
    for name in names:
        given = {"revision": "", "slots": 1, "started_at": None}
        db.write_soon(replicas.register, name, name, 60.0, **given).result(30)


def test_a_lease_that_was_ended_is_not_renewed_by_what_was_under_way(db: Database) -> None:
    """Others would wait for it, and for the run that it holds."""
    register(db, "ends", "stays")
    run = Run("held", "at", "", 0, 0)
    db.write_soon(add, run, holder=Holder("ends")).result(30)

    db.write_soon(replicas.leave, "ends").result(30)
    late = db.write_soon(replicas.renew, "ends", 60.0).result(30)
    look = db.write_soon(replicas.renew, "stays", 60.0).result(30)

    assert not late.is_known
    assert look.is_known
    assert [(other.replica_id, other.is_over) for other in look.others] == [("ends", True)]


def test_what_is_held_in_a_name_that_nobody_has_any_more_is_taken_over_too(db: Database) -> None:
    """It was stored while its replica was taken for dead, and got another name."""
    register(db, "dies", "goes on")
    for name, holder in (("first", "dies"), ("second", "dies, before"), ("third", "goes on")):
        run = Run(name, f"of {name}", "", 0, 0)
        db.write_soon(add, run, holder=Holder(holder)).result(30)

    taken = db.write_soon(replicas.take_over, "dies", "goes on").result(30)

    assert taken is not None
    assert {run_id for run_id, *_ in taken.runs} == {"first", "second"}
    assert db.write_soon(replicas.take_over, "dies", "goes on").result(30) is None


def test_what_is_begun_while_its_replica_is_taken_for_dead_is_taken_over_at_another_look(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(db, "stood still", "takes")
    before, late = (Run(name, f"of {name}", "", 0, 0) for name in ("begun", "begun late"))
    db.write_soon(add, before, holder=Holder("stood still")).result(30)
    lock = replicas.lock_threads_of

    def lock_slowly(connection: sqlalchemy.Connection, found: Any) -> set[str]:
        locked = lock(connection, found)
        db.write_soon(add, late, holder=Holder("stood still")).result(30)
        return locked

    with monkeypatch.context() as patched:
        patched.setattr(replicas, "lock_threads_of", lock_slowly)
        taken = db.write_soon(replicas.take_over, "stood still", "takes").result(30)
    assert taken is not None
    assert [run_id for run_id, *_ in taken.runs] == ["begun"]
    db.write_soon(replicas.put_back, taken.runs, "takes").result(30)

    def look() -> bool:
        return db.write_soon(replicas.renew, "takes", 60.0).result(30).is_something_left

    assert look()
    # Whoever takes it may fail before it is put back.
    for _ in range(2):
        again = db.write_soon(replicas.take_over, None, "takes").result(30)
        assert again is not None
        assert [run_id for run_id, *_ in again.runs] == ["begun late"]
        assert look()
    db.write_soon(replicas.put_back, again.runs, "takes").result(30)
    assert not look()


class Noting:
    """A database that cannot be written to at first."""

    def __init__(self) -> None:
        self.noted: list[tuple[Any, ...]] = []
        self.is_away = True

    async def write(self, function: Any, *given: Any) -> None:
        assert function is replicas.note_lock
        if self.is_away:
            self.is_away = False
            raise OperationalError("", None, Exception("away"))
        self.noted.append(given)


class Connection:
    """A connection that takes every lock."""

    def __init__(self) -> None:
        self.locks: list[int] = []

    async def execute(self, query: str, values: tuple[int, int]) -> None:
        self.locks.append(values[1])


def test_a_lock_that_could_not_be_noted_is_noted_with_the_next_connection() -> None:
    """Else its death would be seen when its lease is over, and not before."""
    db: Any = Noting()
    membership = SharedMembership(db)
    connection = Connection()

    async def greet() -> None:
        with pytest.raises(OperationalError):
            await membership.hold_lock(connection)
        await membership.hold_lock(connection)
        await membership.hold_lock(connection)

    asyncio.run(greet())
    _, lock, again = connection.locks
    assert lock == again
    assert db.noted == [(membership.id, lock)]
