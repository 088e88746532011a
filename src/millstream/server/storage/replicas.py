"""Queries about the replicas that share a database, and about what each of them holds.

A replica holds the runs that it carries out, the changes of threads that it sees to, and what it
tells webhooks. It does so under a lease, whose time is the database's. When that is over another
replica takes what it holds for its own, in one transaction: what the former one still stores of
its runs is refused from then on (`attempts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    text,
    update,
)

from millstream.server.runs.lifecycle import status_after
from millstream.server.runs.turns import GOES_ON
from millstream.server.storage import events
from millstream.server.storage.changes import Left
from millstream.server.storage.locks import lock_threads_of
from millstream.server.storage.tables import (
    HELD,
    UNFINISHED,
    deliveries,
    replicas,
    runs,
    thread_changes,
)
from millstream.server.storage.times import now

LOCKS = 0x6D696C6D
"""The first of two numbers of the lock that a replica has while it is connected; the second is its
own."""
ENDED = 0.0
"""When a lease is over that its holder has ended."""
_CONNECTED = text(
    """
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND classid = :locks AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)
_UP = text("SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())")
_TIME = func.extract("epoch", func.clock_timestamp())


class Member(NamedTuple):
    """A replica, as another one sees it."""

    replica_id: str
    name: str
    revision: str
    slots: int
    """How many runs it carries out at a time."""
    is_over: bool
    """Its lease is."""
    is_connected: bool | None
    """Whether it has its lock, None if it never had one."""


class Look(NamedTuple):
    """What a replica sees when it has renewed its lease."""

    is_known: bool
    """Nobody has taken it for dead."""
    others: Sequence[Member]
    uptime: float
    """For how many seconds the server of the database has been up."""
    is_something_left: bool = False
    """Runs are held by nobody that is known, or were taken over by this one and not put back."""


class LeftRun(NamedTuple):
    """A run that waits until its holder knows which of its events count, and puts it back."""

    run_id: str
    thread_id: str
    attempt: int
    """The one that is over."""
    is_stored: bool
    """Its events are."""


class Taken(NamedTuple):
    """What a replica has taken over."""

    runs: Sequence[LeftRun]
    changes: Sequence[Left]


def register(
    connection: Connection,
    replica_id: str,
    name: str,
    seconds: float,
    *,
    revision: str,
    slots: int,
    started_at: str | None,
) -> str:
    """Have a replica known, for so many seconds; return when it was started.

    That is now, unless it was known by another id before.
    """
    if started_at is None:
        started_at = now(connection)
    connection.execute(
        replicas.insert().values(
            replica_id=replica_id,
            name=name,
            revision=revision,
            slots=slots,
            started_at=started_at,
            lease_until=_TIME + seconds,
        )
    )
    return started_at


def stop_beginning(connection: Connection, replica_id: str) -> None:
    """Note that a replica begins no more runs, and goes on with none that wait."""
    connection.execute(update(replicas).where(replicas.c.replica_id == replica_id).values(slots=0))


def note_lock(connection: Connection, replica_id: str, lock: int) -> None:
    """Note that a replica has its lock: from now on it is connected as long as it has."""
    connection.execute(
        update(replicas).where(replicas.c.replica_id == replica_id).values(lock=lock)
    )


def renew(connection: Connection, replica_id: str, seconds: float) -> Look:
    """Renew a lease that has not been ended, and look at the other replicas."""
    mine = replicas.c.replica_id == replica_id
    held = (mine, replicas.c.lease_until > ENDED)
    renewed = connection.execute(update(replicas).where(*held).values(lease_until=_TIME + seconds))
    rows = connection.execute(
        select(
            replicas.c.replica_id,
            replicas.c.name,
            replicas.c.revision,
            replicas.c.slots,
            replicas.c.lock,
            (replicas.c.lease_until < _TIME).label("is_over"),
        )
        .where(~mine)
        .order_by(replicas.c.replica_id)
    ).all()
    locks = set(connection.scalars(_CONNECTED, {"locks": LOCKS})) if rows else set()
    others = [
        Member(
            row.replica_id,
            row.name,
            row.revision,
            row.slots,
            row.is_over,
            None if row.lock is None else row.lock in locks,
        )
        for row in rows
    ]
    uptime = float(connection.scalar(_UP) or 0.0)
    # In the words of the index: what is in the queue has no holder.
    left = _left(None, replica_id).where(HELD)
    is_something_left = bool(connection.scalar(select(left.exists())))
    return Look(renewed.rowcount == 1, others, uptime, is_something_left)


def leave(connection: Connection, replica_id: str) -> None:
    """End the lease of a replica; it is known no more if it holds nothing."""
    run = select(runs.c.run_id).where(runs.c.holder == replica_id, UNFINISHED)
    change = select(thread_changes.c.thread_id).where(thread_changes.c.holder == replica_id)
    if connection.scalar(select(or_(run.exists(), change.exists()))):
        over = update(replicas).where(replicas.c.replica_id == replica_id)
        connection.execute(over.values(lease_until=ENDED))
        return
    connection.execute(
        update(deliveries).where(deliveries.c.holder == replica_id).values(holder=None)
    )
    connection.execute(delete(replicas).where(replicas.c.replica_id == replica_id))


def take_over(connection: Connection, dead: str | None, holder: str) -> Taken | None:
    """Take for one replica what another one holds, and who is not known; None if that is done.

    The runs wait for `put_back`, when it is known which of their events count. If the taker ends
    before that, the next one takes them from it. What the other one begins in this moment is left
    for another look.
    """
    if dead is not None:
        row = select(replicas.c.replica_id).where(replicas.c.replica_id == dead)
        if connection.scalar(row.with_for_update(skip_locked=True)) is None:
            return None
    held = _left(dead, holder)
    threads = lock_threads_of(connection, held)
    is_stored = or_(runs.c.is_resumable, runs.c.is_followed)
    columns = (runs.c.run_id, runs.c.thread_id, runs.c.attempt, is_stored)
    query = held.with_only_columns(*columns).where(runs.c.thread_id.in_(threads))
    taken = [LeftRun(*row) for row in connection.execute(query)]
    connection.execute(
        update(runs)
        .where(runs.c.run_id.in_([run.run_id for run in taken]))
        .values(status=status_after("running", "lease_lost"), turn=None, holder=holder)
    )
    left = _take_changes(connection, dead, holder)
    told = update(deliveries).where(_is_of(deliveries.c.holder, dead))
    connection.execute(told.values(holder=None))
    if dead is not None:
        connection.execute(delete(replicas).where(replicas.c.replica_id == dead))
    return Taken(taken, left)


def _take_changes(connection: Connection, dead: str | None, holder: str) -> list[Left]:
    theirs = _is_of(thread_changes.c.holder, dead)
    query = select(thread_changes.c.thread_id, thread_changes.c.kind).where(theirs)
    left = [Left(thread_id, kind) for thread_id, kind in connection.execute(query)]
    mine = thread_changes.c.thread_id.in_([each.thread_id for each in left])
    connection.execute(update(thread_changes).where(theirs, mine).values(holder=holder))
    return left


def _left(dead: str | None, taker: str) -> Select[Any]:
    """Return what finds the runs that a replica may take from one that is dead, or unknown.

    Those that wait were taken over before, and not put back; of its own it takes them again when it
    looks for what nobody holds.
    """
    holder, is_pending = runs.c.holder, runs.c.status == "pending"
    left = and_(_is_of(holder, dead), or_(runs.c.status == "running", holder.is_not(None)))
    if dead is None:
        left = or_(left, and_(is_pending, holder == taker))
    return select(runs.c.thread_id).where(UNFINISHED, left)


def _is_of(holder: Column[str], dead: str | None) -> ColumnElement[bool]:
    """Say whether something is held by a replica, or by none that is known."""
    is_unknown = holder.not_in(select(replicas.c.replica_id))
    if dead is None:
        return or_(holder.is_(None), is_unknown)
    # What a replica was storing when it was taken for dead is held in the name that it had before.
    # That it is held at all is said for the index.
    return and_(holder.is_not(None), or_(holder == dead, is_unknown))


def forget_unstored(
    connection: Connection, run: LeftRun, holder: str, last: int, lost: Sequence[str]
) -> None:
    """Delete what a run has said of things that are not stored, see `events.forget_needing`.

    Only while it waits for its holder: when it goes on, what it says is going to be stored.
    """
    if connection.scalar(select(runs.c.run_id).where(_waits(run, holder)).with_for_update()):
        events.forget_needing(connection, run.run_id, last, lost)


def put_back(connection: Connection, some: Sequence[LeftRun], holder: str) -> None:
    """Have runs that were taken over wait to be gone on with, by whoever comes first."""
    for run in some:
        connection.execute(
            update(runs)
            .where(_waits(run, holder))
            # What has been said of things that were not stored is forgotten by now.
            .values(turn=GOES_ON, holder=None, shown=events.last_seq(run.run_id))
        )


def _waits(run: LeftRun, holder: str) -> ColumnElement[bool]:
    """Say whether a run still waits for its holder to put it back."""
    return and_(
        runs.c.run_id == run.run_id,
        runs.c.status == "pending",
        runs.c.holder == holder,
        runs.c.attempt == run.attempt,
    )
