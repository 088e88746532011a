"""Statements that are compiled once: they mean what SQLAlchemy's own execution of them means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from millstream.server.storage import run_statements
from millstream.server.storage.database import Database
from millstream.server.storage.prepared import Prepared
from millstream.server.storage.tables import threads
from millstream.server.storage.threads import FOREVER
from millstream.server.storage.times import now


def add(connection: Connection, thread_id: str, **given: Any) -> None:
    """Add a thread."""
    row = {"status": "idle", "is_temporary": False, "metadata": {}, "config": {}, **FOREVER}
    times = dict.fromkeys(("created_at", "updated_at", "state_updated_at"), now(connection))
    values = {**row, **times, **given}
    run_statements.ADD_THREAD.run(connection, thread_id=thread_id, **values)


def test_values_are_converted_as_their_columns_say(db: Database) -> None:
    given = {"metadata": {"ä": [1, None, True]}, "is_temporary": True}
    asyncio.run(db.write(add, "a", **given))
    columns = (threads.c.metadata, threads.c.is_temporary, threads.c.error)
    query = select(*columns).where(threads.c.thread_id == bindparam("id"))
    prepared = Prepared(query)

    def read(connection: Connection) -> list[Any]:
        own = connection.execute(query, {"id": "a"}).one()
        return [own, prepared.first(connection, id="a"), *prepared.all(connection, id="a")]

    own, first, only = asyncio.run(db.read(read))

    assert tuple(own) == tuple(first) == tuple(only) == ({"ä": [1, None, True]}, True, None)
    assert first._asdict() == own._asdict()
    assert asyncio.run(db.read(lambda c: prepared.first(c, id="b"))) is None


def test_every_statement_has_all_of_its_values_given_by_name(db: Database) -> None:
    known = [each for each in vars(run_statements).values() if isinstance(each, Prepared)]

    for prepared in known:
        # None is bound that only SQLAlchemy would know the value of.
        names = prepared._for(db.engine.dialect).names
        assert not [name for name in names if name.rpartition("_")[2].isdigit()]
    assert len(known) > 10


def test_errors_are_those_of_any_other_statement_and_say_nothing_of_the_values(
    db: Database,
) -> None:
    def twice(connection: Connection) -> None:
        add(connection, "a", metadata={"key": "secret"})
        add(connection, "a", metadata={"key": "secret"})

    def nowhere(connection: Connection) -> None:
        connection.exec_driver_sql("DROP TABLE deliveries")
        connection.exec_driver_sql("ALTER TABLE threads RENAME TO others")
        add(connection, "b", metadata={"key": "secret"})

    for write, kind in ((twice, IntegrityError), (nowhere, (OperationalError, ProgrammingError))):
        with pytest.raises(kind) as caught:
            asyncio.run(db.write(write))
        assert "secret" not in str(caught.value)
    # All of it is undone.
    assert asyncio.run(db.read(lambda c: c.execute(select(threads)).all())) == []


def test_several_sets_of_values_are_written_together(db: Database) -> None:
    rename = Prepared(
        update(threads).where(threads.c.thread_id == bindparam("id")), "status", "updated_at"
    )

    def write(connection: Connection) -> None:
        for id in "ab":
            add(connection, id)
        time = now(connection)
        rename.run_each(
            connection, [{"id": id, "status": f"{id}!", "updated_at": time} for id in "ab"]
        )

    asyncio.run(db.write(write))

    query = select(threads.c.status).order_by(threads.c.thread_id)
    assert asyncio.run(db.read(lambda c: c.scalars(query).all())) == ["a!", "b!"]


def test_reads_see_one_state_of_the_database_throughout(db: Database) -> None:
    count = Prepared(select(threads.c.thread_id))

    def read(connection: Connection) -> tuple[int, int]:
        before = len(count.all(connection))
        db.write_soon(add, "a").result(timeout=10)
        return before, len(count.all(connection))

    assert asyncio.run(db.read(read)) == (0, 0)
    assert len(asyncio.run(db.read(count.all))) == 1
