"""Who changes what others change at the same time has it alone until its transaction ends.

A file has one writer, who has everything alone. In PostgreSQL whoever changes the runs of a thread,
or what they leave in it, first locks the row of the thread; several in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, select

from millstream.server.storage.prepared import Prepared
from millstream.server.storage.tables import threads

_ONE: Final = Prepared(
    select(threads.c.thread_id)
    .where(threads.c.thread_id == bindparam("id"))
    .with_for_update(key_share=True)
)


def are_many(connection: Connection) -> bool:
    """Say whether others write at the same time."""
    return connection.dialect.name != "sqlite"


def lock_thread(connection: Connection, thread_id: str) -> None:
    """Lock a thread, if it is there."""
    if are_many(connection):
        _ONE.first(connection, id=thread_id)


def lock_free_threads(connection: Connection, thread_ids: Iterable[str]) -> set[str]:
    """Lock those of some threads that nobody else has locked, and return them."""
    free = (
        select(threads.c.thread_id)
        .where(threads.c.thread_id.in_(list(thread_ids)))
        .with_for_update(key_share=True, skip_locked=True)
    )
    return set(connection.scalars(free))


def lock_threads(connection: Connection, thread_ids: Iterable[str]) -> bool:
    """Lock threads; return whether what was read before may be otherwise by now."""
    if not are_many(connection):
        return False
    ids = sorted(set(thread_ids))
    if ids:
        locking = (
            select(threads.c.thread_id)
            .where(threads.c.thread_id.in_(ids))
            .order_by(threads.c.thread_id)
            .with_for_update(key_share=True)
        )
        connection.execute(locking).all()
    return bool(ids)


def lock_threads_of(connection: Connection, runs: Select[Any]) -> set[str]:
    """Lock the threads of the runs that a query with their `thread_id` finds; return their ids.

    When they are locked, runs of others may have come to be what the query finds.
    """
    ids = set(connection.scalars(runs))
    lock_threads(connection, ids)
    return ids
