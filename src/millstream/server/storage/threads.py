"""Threads in the database: all of them but their checkpoints.

What a run or an update has left (`values`, `interrupts`, `error`) is kept here too, for those who
look through threads. A thread that nothing has run on has none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, false, select, true

from millstream.server.errors import ApiError, not_found
from millstream.server.storage import changes
from millstream.server.storage.containment import Filters, allowed, allows, contains
from millstream.server.storage.locks import lock_thread
from millstream.server.storage.queries import Page, count, merged, page, unread
from millstream.server.storage.tables import runs, threads
from millstream.server.storage.times import now

KEYS: Final = (
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "status",
    "config",
    "values",
    "error",
    "interrupts",
)
_OF_A_RUN: Final = ("error", "interrupts")


def missing(thread_id: str) -> ApiError:
    """Return the error for a thread that is not there for this caller."""
    return not_found(f"Thread with ID {thread_id}")


def create(
    connection: Connection,
    thread_id: str,
    *,
    metadata: Mapping[str, Any],
    ttl: Mapping[str, Any] | None = None,
    must_be_new: bool = True,
    is_temporary: bool = False,
    filters: Filters | None = None,
) -> dict[str, Any]:
    """Make a thread, or return the one that has its id."""
    known = _find(connection, thread_id)
    if known is not None:
        if must_be_new or not allows(known["metadata"], filters):
            raise ApiError(409, f"Thread with ID {thread_id} already exists")
        return shown(known)
    time = now(connection)
    row = {
        "thread_id": thread_id,
        "created_at": time,
        "updated_at": time,
        "state_updated_at": time,
        "metadata": dict(metadata),
        "status": "idle",
        "config": {},
    }
    connection.execute(
        threads.insert(), {**row, "is_temporary": is_temporary, **lifetime(time, ttl)}
    )
    return {**row, "values": None}


def create_to_fill(connection: Connection, thread_id: str, *, holder: str, **given: Any) -> bool:
    """Make a thread that is going to get a state, or take the one that has its id.

    Note that this is under way, and say whether it is a new one.
    """
    is_new = _find(connection, thread_id, is_unread=True) is None
    create(connection, thread_id, **given)
    if is_new:
        changes.begin(connection, thread_id, "creation", holder)
    else:
        changes.begin_update(connection, thread_id, holder)
    return is_new


def get(
    connection: Connection,
    thread_id: str,
    *,
    with_ttl: bool = False,
    is_unread: bool = False,
    filters: Filters | None = None,
) -> dict[str, Any] | None:
    """Return a thread, None if there is none for this caller.

    Unread, its values are a text that only goes into an answer.
    """
    found = _find(connection, thread_id, is_unread=is_unread)
    if found is None or not allows(found["metadata"], filters):
        return None
    return {**shown(found), **(_ttl(connection, thread_id) if with_ttl else {})}


def need(
    connection: Connection,
    thread_id: str,
    *,
    with_ttl: bool = False,
    is_unread: bool = False,
    filters: Filters | None = None,
) -> dict[str, Any]:
    """Return a thread."""
    found = get(connection, thread_id, with_ttl=with_ttl, is_unread=is_unread, filters=filters)
    if found is None:
        raise missing(thread_id)
    return found


def metadata_of(
    connection: Connection, thread_id: str, filters: Filters | None = None
) -> dict[str, Any]:
    """Return the metadata of a thread, without reading what may be large."""
    found = connection.execute(
        select(threads.c["metadata"]).where(threads.c.thread_id == thread_id)
    ).one_or_none()
    if found is None or not allows(found[0], filters):
        raise missing(thread_id)
    metadata: dict[str, Any] = found[0]
    return metadata


def patch(
    connection: Connection,
    thread_id: str,
    *,
    metadata: Mapping[str, Any],
    ttl: Mapping[str, Any] | None = None,
    filters: Filters | None = None,
) -> dict[str, Any]:
    """Lay metadata over those of a thread, or give it another time to live."""
    lock_thread(connection, thread_id)
    known = need(connection, thread_id, is_unread=True, filters=filters)
    time = now(connection)
    changed = {"metadata": merged(known["metadata"], metadata), "updated_at": time}
    connection.execute(
        threads.update().where(threads.c.thread_id == thread_id),
        {**changed, **(lifetime(time, ttl) if ttl else {})},
    )
    return {**known, **changed}


def set_state(
    connection: Connection,
    thread_id: str,
    *,
    values: Any,
    interrupts: Mapping[str, Any],
    is_asking: bool,
    holder: str | None = None,
) -> None:
    """Keep what an update of the state has left, with which it is done.

    `holder` is the replica that has updated it. If another one has taken that over it has shown the
    state by now, or does so: then nothing is kept.
    """
    lock_thread(connection, thread_id)
    if holder is not None and not changes.hold_own(connection, thread_id, holder):
        return
    query = select(threads.c.status, threads.c.state_updated_at)
    found = connection.execute(query.where(threads.c.thread_id == thread_id)).one_or_none()
    # What is said in a thread is later than its state, see `log.event_ids`: that never goes back.
    time = max(now(connection), "" if found is None else found.state_updated_at)
    changed: dict[str, Any] = {
        "updated_at": time,
        "state_updated_at": time,
        "values": values,
        "interrupts": interrupts,
        "error": None,
        "config": {"configurable": {}},
    }
    if found is None or found.status != "busy":  # else runs wait
        changed["status"] = "interrupted" if is_asking else "idle"
    connection.execute(threads.update().where(threads.c.thread_id == thread_id), changed)
    changes.end(connection, thread_id)


def run_ids(connection: Connection, thread_id: str) -> frozenset[str]:
    """Return the ids of all runs of a thread."""
    return frozenset(connection.scalars(select(runs.c.run_id).where(runs.c.thread_id == thread_id)))


def delete(
    connection: Connection, thread_id: str, filters: Filters | None, known: frozenset[str]
) -> bool:
    """Delete a thread with its runs and their events, if it has none but these; say whether.

    When they were created does not tell which are new: a transaction that has begun before others
    may be committed after them.
    """
    lock_thread(connection, thread_id)
    metadata_of(connection, thread_id, filters)
    if not run_ids(connection, thread_id) <= known:
        return False
    changes.take_back(connection, thread_id)
    return True


def copy(
    connection: Connection,
    thread_id: str,
    new_id: str,
    metadata: Mapping[str, Any],
    filters: Filters | None = None,
    *,
    holder: str,
) -> dict[str, Any]:
    """Make a thread of what another one has, but for its runs; `holder` is who copies it."""
    if not changes.hold_own(connection, new_id, holder):
        raise changes.taken_over(new_id)
    known = _find(connection, thread_id, is_unread=True)
    if known is None or not allows(known["metadata"], filters):
        raise missing(thread_id)
    time = now(connection)
    row = {
        **known,
        "thread_id": new_id,
        "created_at": time,
        "updated_at": time,
        "state_updated_at": time,
        "metadata": dict(metadata),
        "config": {},
        # Nothing runs on the new one.
        "status": "idle" if known["status"] == "busy" else known["status"],
    }
    connection.execute(threads.insert(), row)
    changes.end(connection, new_id)
    return {key: row[key] for key in KEYS if key not in ("values", *_OF_A_RUN)}


def search(
    connection: Connection,
    *,
    ids: Sequence[str] | None,
    metadata: Mapping[str, Any],
    values: Mapping[str, Any],
    status: str | None,
    select: Sequence[str] | None,
    sort_by: str,
    sort_order: str,
    limit: int,
    offset: int,
    needed: Sequence[str] = (),
    filters: Filters | None = None,
) -> Page:
    """Return some of the threads that fit; `needed` are columns that are read besides."""
    columns = [key for key in KEYS if select is None or key in select or key in needed]
    found = page(
        connection,
        threads,
        _condition(metadata, values, status, filters, ids),
        columns=columns,
        sort=[(sort_by, sort_order), ("thread_id", sort_order)],
        limit=limit,
        offset=offset,
        raw=() if needed else ("values",),
    )
    if select is None:
        return found._replace(rows=[shown(row) for row in found.rows])
    return found


def count_all(
    connection: Connection,
    *,
    metadata: Mapping[str, Any],
    values: Mapping[str, Any],
    status: str | None,
    filters: Filters | None = None,
) -> int:
    """Return how many threads fit."""
    return count(connection, threads, _condition(metadata, values, status, filters, None))


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as clients see it."""
    if row["interrupts"] is None:
        return {key: row[key] for key in KEYS if key not in _OF_A_RUN}
    return dict(row)


def _condition(
    metadata: Mapping[str, Any],
    values: Mapping[str, Any],
    status: str | None,
    filters: Filters | None,
    ids: Sequence[str] | None,
) -> ColumnElement[bool]:
    return and_(
        threads.c.is_temporary == false(),
        threads.c.status == status if status is not None else true(),
        threads.c.thread_id.in_(ids) if ids is not None else true(),
        contains(threads.c["metadata"], metadata),
        allowed(threads.c["metadata"], filters),
        contains(threads.c["values"], values),
    )


def _find(
    connection: Connection, thread_id: str, *, is_unread: bool = False
) -> dict[str, Any] | None:
    columns: list[ColumnElement[Any]] = [
        unread(threads.c[key]) if is_unread and key == "values" else threads.c[key] for key in KEYS
    ]
    found = connection.execute(select(*columns).where(threads.c.thread_id == thread_id)).mappings()
    row = found.one_or_none()
    return None if row is None else dict(row)


def _ttl(connection: Connection, thread_id: str) -> dict[str, Any]:
    strategy, minutes, expires_at, updated_at = connection.execute(
        select(
            threads.c.ttl_strategy,
            threads.c.ttl_minutes,
            threads.c.expires_at,
            threads.c.updated_at,
        ).where(threads.c.thread_id == thread_id)
    ).one()
    if minutes is None:
        return {}
    expires_at = max(expires_at, _later(updated_at, minutes))
    return {"ttl": {"strategy": strategy, "ttl_minutes": minutes, "expires_at": expires_at}}


FOREVER: Final = {"ttl_strategy": None, "ttl_minutes": None, "expires_at": None}
"""How long a thread lives where nobody says so."""


def lifetime(time: str, ttl: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return how long a thread lives that is made or touched at a time."""
    if not ttl or ttl.get("ttl") is None:
        return {}
    return {
        "ttl_strategy": ttl["strategy"],
        "ttl_minutes": ttl["ttl"],
        "expires_at": _later(time, ttl["ttl"]),
    }


def _later(time: str, minutes: float) -> str:
    try:
        ends = datetime.fromisoformat(time) + timedelta(minutes=minutes)
    except OverflowError:
        ends = datetime.max.replace(tzinfo=timezone.utc)
    return ends.isoformat(timespec="microseconds")


class Expired(NamedTuple):
    """A thread that nobody has touched for as long as it lives."""

    thread_id: str
    strategy: str


def expired(connection: Connection, time: str, limit: int | None) -> list[Expired]:
    """Return the threads that are over, after those that were touched were given more time.

    What happens on a thread does not put its end off: that is done here, when it is looked at.
    """
    query = (
        select(
            threads.c.thread_id,
            threads.c.ttl_strategy,
            threads.c.ttl_minutes,
            threads.c.updated_at,
            threads.c.status,
        )
        .where(threads.c.expires_at <= time)
        .order_by(threads.c.expires_at)
    )
    over: list[Expired] = []
    for row in connection.execute(query).all():
        touched = time if row.status == "busy" else row.updated_at
        ends = _later(touched, row.ttl_minutes)
        if ends > time:
            put_off(connection, row.thread_id, ends)
        elif limit is None or len(over) < limit:
            over.append(Expired(row.thread_id, row.ttl_strategy))
    return over


def put_off(connection: Connection, thread_id: str, until: str) -> None:
    """Have a thread looked at again at a time."""
    connection.execute(
        threads.update().where(threads.c.thread_id == thread_id).values(expires_at=until)
    )


def live_on(connection: Connection, thread_id: str, time: str) -> None:
    """Let a thread live on, that was made smaller at a time."""
    minutes = connection.scalar(
        select(threads.c.ttl_minutes).where(threads.c.thread_id == thread_id)
    )
    if minutes is not None:
        put_off(connection, thread_id, _later(time, minutes))
