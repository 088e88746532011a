"""Which revision of the graphs goes on with a run: decisions, and what the queue makes of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text

import waiting
from millstream.server.graphs import assistant_of
from millstream.server.runs.revisions import Living, may_go_on, newest
from millstream.server.runs.turns import GOES_ON
from millstream.server.storage import assistants, queue, replicas
from millstream.server.storage.database import Database
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import Address
from millstream.server.storage.run_records import Holder
from millstream.server.storage.tables import runs, threads
from millstream.server.storage.times import now
from server.databases import new_postgres
from server.streams import start, thread
from server.test_recovery import COUNT, Gate
from server.test_replicas import seen, serving, status

OLD, NEW = Living("v1", "2026-01-01"), Living("v2", "2026-01-02")


@pytest.mark.parametrize(
    ("living", "expected"),
    [
        ([], None),
        ([OLD], "v1"),
        ([NEW, OLD], "v2"),
        # One more of the old ones, or one that was started again, makes it no newer.
        ([OLD, NEW, Living("v1", "2026-01-03")], "v2"),
        # All of the old ones have ended: whoever starts one goes back to it.
        ([NEW, Living("v1", "2026-01-03")], "v1"),
        ([Living("a", "2026"), Living("b", "2026")], "b"),
    ],
)
def test_a_revision_is_as_old_as_its_oldest_server(
    living: list[Living], expected: str | None
) -> None:
    assert newest(living) == expected
    assert newest(living[::-1]) == expected


@pytest.mark.parametrize(
    ("begun_by", "own", "living", "same", "newest"),
    [
        # Everybody is of one revision.
        ("v1", "v1", [OLD, OLD], True, True),
        # In the middle of a change.
        ("v1", "v1", [OLD, NEW], True, False),
        ("v1", "v2", [OLD, NEW], False, True),
        ("v2", "v1", [OLD, NEW], False, False),
        ("v2", "v2", [OLD, NEW], True, True),
        # Nobody is left of what has begun it.
        ("v0", "v2", [OLD, NEW], True, True),
        ("v0", "v1", [OLD, NEW], False, False),
        ("v0", "v1", [OLD], True, True),
        # It is not known.
        (None, "v1", [OLD, NEW], True, True),
        # Nobody carries out runs, as far as is known.
        ("v1", "v2", [], True, True),
    ],
)
def test_a_run_is_gone_on_with_by_its_own_revision_or_by_the_newest(
    begun_by: str | None, own: str, living: list[Living], *, same: bool, newest: bool
) -> None:
    assert may_go_on(begun_by, own, living, "same") == same
    assert may_go_on(begun_by, own, living, "newest") == newest


def test_no_run_is_for_nobody() -> None:
    for rule in ("same", "newest"):
        for begun_by in ("v0", "v1", "v2"):
            assert any(may_go_on(begun_by, each.revision, [OLD, NEW], rule) for each in (OLD, NEW))


@pytest.fixture
def db() -> Iterator[Database]:
    """Give a database that several servers share."""
    with new_postgres() as address:
        database = PostgresDatabase(Address(address))
        yield database
        database.close()


def add(connection: Connection, name: str, revision: str | None, turn: int = GOES_ON) -> None:
    """Add a run that waits, in a thread of its own."""
    time = now(connection)
    connection.execute(
        insert(threads).values(
            thread_id=f"at {name}",
            status="busy",
            created_at=time,
            updated_at=time,
            state_updated_at=time,
            metadata={},
            config={},
        )
    )
    connection.execute(
        insert(runs).values(
            run_id=name,
            thread_id=f"at {name}",
            assistant_id=assistant_of("g"),
            status="pending",
            multitask_strategy="enqueue",
            created_at=time,
            updated_at=time,
            due_at=time,
            turn=turn,
            attempt=int(turn == GOES_ON),
            revision=revision,
            metadata={},
            kwargs={},
        )
    )


def join(connection: Connection, revision: str, slots: int = 1, seconds: float = 60.0) -> Holder:
    """Have a replica known, and return in whose name it begins runs."""
    name = f"{revision} {uuid.uuid4()}"
    replicas.register(
        connection, name, "here", seconds, revision=revision, slots=slots, started_at=None
    )
    return Holder(name, revision)


def claim(db: Database, holder: Holder, limit: int = 9, rule: str = "same") -> list[str]:
    """Have a replica begin runs, and return which."""
    claimed = db.write_soon(lambda c: queue.claim(c, limit, {}, holder, rule=rule)).result(30)
    return [job.run_id for job in claimed.jobs]


def write(db: Database, function: Any, *args: Any, **named: Any) -> Any:
    return db.write_soon(function, *args, **named).result(30)


def test_runs_of_others_are_passed_by_until_nobody_is_left_of_them(db: Database) -> None:
    write(db, assistants.ensure_own, ["g"])
    old, other = write(db, join, "v1"), write(db, join, "v1", slots=0)
    new = write(db, join, "v2")
    assert other.replica_id != old.replica_id
    for name, revision in (("a", "v1"), ("b", "v0"), ("c", None), ("d", "v2"), ("e", "v1")):
        write(db, add, name, revision)
    write(db, add, "f", None, turn=1)

    assert claim(db, new, limit=1) == ["b"]
    assert claim(db, new) == ["c", "d", "f"]
    assert claim(db, new) == []
    assert claim(db, old, limit=1) == ["a"]
    # The last one that carries out runs is about to end.
    write(db, replicas.stop_beginning, old.replica_id)
    assert claim(db, new) == ["e"]

    def revisions(connection: Connection) -> dict[str, str]:
        rows = connection.execute(select(runs.c.run_id, runs.c.revision))
        return {row.run_id: row.revision for row in rows}

    # It is noted who has begun the last attempt.
    assert write(db, revisions) == {"a": "v1", **dict.fromkeys("bcdef", "v2")}


def test_a_replica_whose_lease_is_over_keeps_no_runs_from_others(db: Database) -> None:
    write(db, assistants.ensure_own, ["g"])
    write(db, join, "v1", seconds=-1.0)
    new = write(db, join, "v2")
    write(db, add, "a", "v1")

    assert claim(db, new) == ["a"]


def test_the_newest_goes_on_with_all_where_that_is_asked_for(db: Database) -> None:
    write(db, assistants.ensure_own, ["g"])
    old, new = write(db, join, "v1"), write(db, join, "v2")
    for name, revision in (("a", "v1"), ("b", "v2"), ("c", "")):
        write(db, add, name, revision)
    write(db, add, "d", None, turn=1)

    assert claim(db, old, limit=1, rule="newest") == ["d"]
    assert claim(db, old, rule="newest") == []
    assert claim(db, new, rule="newest") == ["a", "b", "c"]


def test_nobody_looks_through_the_runs_that_are_for_others(db: Database) -> None:
    write(db, assistants.ensure_own, ["g"])
    old, new = write(db, join, "v1"), write(db, join, "v2")
    for n in range(300):
        write(db, add, f"old {n:03}", "v1")
    write(db, add, "new", "v2")
    write(db, add, "next", None, turn=5)

    def read_rows(connection: Connection) -> int:
        # Of the transaction that goes on.
        query = "SELECT pg_stat_get_xact_tuples_fetched('millstream.runs'::regclass::oid)"
        return int(connection.execute(text(query)).scalar_one())

    def counted(connection: Connection) -> tuple[list[str], int]:
        before = read_rows(connection)
        jobs = queue.claim(connection, 9, {}, new).jobs
        return [job.run_id for job in jobs], read_rows(connection) - before

    names, rows = write(db, counted)

    assert names == ["new", "next"]
    assert rows < 60
    assert old.revision == "v1"


@pytest.mark.real_time(reason="leases end by the clock of the database")
def test_a_run_stays_with_its_revision_as_long_as_a_server_has_it(
    new_database: str, tmp_path: Path
) -> None:
    gate = Gate(3)
    with ExitStack() as stack:
        with ExitStack() as before:
            last = stack.enter_context(
                serving(new_database, tmp_path / "c", gate, revision="v2", n_jobs_per_worker=3)
            )
            second = before.enter_context(
                serving(new_database, tmp_path / "b", gate, revision="v1")
            )
            with serving(new_database, tmp_path / "a", gate, revision="v1") as first:
                at = thread(first)
                run_id = start(first, at, "steps", {})["run_id"]
                assert waiting.until(lambda: gate.is_reached)
                first.service.scheduler.give_up()
                first.service.scheduler.drain()
                gate.is_open = True
            assert waiting.until(lambda: status(last, at, run_id) == "success")
            assert seen(last, at) == list(range(COUNT))

        def begun_by(connection: Connection) -> str | None:
            query = select(runs.c.revision).where(runs.c.run_id == run_id)
            return connection.scalar(query)

        # `last` has had slots all the time, and is the newest where `second` has ended.
        assert last.service.db.write_soon(begun_by).result(30) == "v1"
        assert second.service.scheduler.active == 0
