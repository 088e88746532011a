"""Who changes what others change at the same time has it alone until its transaction ends.

A file has one writer, who has everything alone. In PostgreSQL whoever changes the runs of a thread,
or what they leave in it, first holds the thread's row; several are held in the order of their ids.
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


def hold_thread(connection: Connection, thread_id: str) -> None:
    """Hold a thread, if it is there."""
    if are_many(connection):
        _ONE.first(connection, id=thread_id)


def hold_free(connection: Connection, thread_ids: Iterable[str]) -> set[str]:
    """Hold those of some threads that nobody else holds, and return them."""
    free = (
        select(threads.c.thread_id)
        .where(threads.c.thread_id.in_(list(thread_ids)))
        .with_for_update(key_share=True, skip_locked=True)
    )
    return set(connection.scalars(free))


def hold_threads(connection: Connection, thread_ids: Iterable[str]) -> bool:
    """Hold threads; return whether what was read before may be otherwise by now."""
    if not are_many(connection):
        return False
    ids = sorted(set(thread_ids))
    if ids:
        held = (
            select(threads.c.thread_id)
            .where(threads.c.thread_id.in_(ids))
            .order_by(threads.c.thread_id)
            .with_for_update(key_share=True)
        )
        connection.execute(held).all()
    return bool(ids)


def hold_threads_of(connection: Connection, runs: Select[Any]) -> set[str]:
    """Hold the threads of the runs that a query with their `thread_id` finds; return their ids.

    When they are held, runs of others may have come to be what the query finds.
    """
    ids = set(connection.scalars(runs))
    hold_threads(connection, ids)
    return ids
