"""Queries about who reads threads, at which replica, and what runs there are for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from millstream.server.runs.lifecycle import RunStatus
from millstream.server.storage.locks import are_many, lock_thread
from millstream.server.storage.prepared import Prepared
from millstream.server.storage.tables import UNFINISHED, UNFINISHED_RUN, runs, thread_readers

ON_ITS_WAY: Final = timedelta(minutes=1)
"""For how long a run may be on its way into the database: it has the time at which that began."""
_ELSEWHERE: Final = Prepared(
    select(thread_readers.c.replica_id).where(
        thread_readers.c.thread_id == bindparam("thread_id"),
        thread_readers.c.replica_id != bindparam("replica"),
    )
)


class Seen(NamedTuple):
    """A run of a thread that is read."""

    run_id: str
    thread_id: str
    status: RunStatus
    attempt: int
    holder: str | None
    is_resumable: bool
    is_followed: bool
    created_at: str


_SEEN = (
    runs.c.run_id,
    runs.c.thread_id,
    runs.c.status,
    runs.c.attempt,
    runs.c.holder,
    runs.c.is_resumable,
    runs.c.is_followed,
    runs.c.created_at,
)


class Known(NamedTuple):
    """What a replica knows of the runs of a thread."""

    unfinished: Collection[str]
    """Runs that had not ended when it looked last."""
    newest: str
    """When the newest of all was created; empty if there was none."""


def are_elsewhere(connection: Connection, thread_id: str, replica: str) -> bool:
    """Say whether a thread is read at another replica."""
    if not are_many(connection):
        return False
    return _ELSEWHERE.first(connection, thread_id=thread_id, replica=replica) is not None


def want_protocol(connection: Connection, thread_id: str) -> bool:
    """Say whether anybody reads the protocol events of a thread, at any replica."""
    return bool(
        connection.scalar(
            select(
                exists().where(
                    thread_readers.c.thread_id == thread_id,
                    thread_readers.c.wants_protocol.is_(True),
                )
            )
        )
    )


def add(connection: Connection, thread_id: str, replica: str, *, wants_protocol: bool) -> Known:
    """Note that a thread is read at a replica, and return what there is.

    A run that begins at the same time is begun before that, and is seen, or behind it, and sees it.
    """
    lock_thread(connection, thread_id)
    values = {"wants_protocol": wants_protocol}
    made = insert(thread_readers).values(thread_id=thread_id, replica_id=replica, **values)
    connection.execute(
        made.on_conflict_do_update(index_elements=["thread_id", "replica_id"], set_=values)
    )
    of = runs.c.thread_id == thread_id
    unfinished = connection.scalars(select(runs.c.run_id).where(of, UNFINISHED)).all()
    newest = connection.scalar(select(func.max(runs.c.created_at)).where(of))
    return Known(unfinished, newest or "")


def remove(connection: Connection, thread_ids: Collection[str], replica: str) -> None:
    """Note that nobody reads threads any more at a replica."""
    connection.execute(
        delete(thread_readers).where(
            thread_readers.c.thread_id.in_(thread_ids), thread_readers.c.replica_id == replica
        )
    )


def runs_of(connection: Connection, known: Mapping[str, Known]) -> Sequence[Seen]:
    """Return the runs of threads that may have begun or ended since they were looked at."""
    threads = [
        runs.c.thread_id == thread_id
        if not each.newest
        else and_(runs.c.thread_id == thread_id, runs.c.created_at >= _before(each.newest))
        for thread_id, each in known.items()
    ]
    unfinished = [run_id for each in known.values() for run_id in each.unfinished]
    query = select(*_SEEN).where(or_(*threads, runs.c.run_id.in_(unfinished)))
    begun = and_(runs.c.thread_id.in_(known), UNFINISHED_RUN)
    # Each by an index of its own.
    both = query.union(select(*_SEEN).where(begun)).order_by("created_at", "run_id")
    return [Seen(*row) for row in connection.execute(both)]


def _before(time: str) -> str:
    return (datetime.fromisoformat(time) - ON_ITS_WAY).isoformat(timespec="microseconds")


def speaking(connection: Connection, thread_id: str) -> str | None:
    """Return the run that is carried out in a thread, at whichever replica."""
    of = (runs.c.thread_id == thread_id, runs.c.status == "running")
    found: str | None = connection.scalar(select(runs.c.run_id).where(*of))
    return found
