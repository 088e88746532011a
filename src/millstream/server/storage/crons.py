"""Crons in the database: what is run when, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Connection, and_, select, true

from millstream.server.errors import not_found
from millstream.server.storage import runs, threads
from millstream.server.storage.containment import Filters, allowed, allows, contains
from millstream.server.storage.queries import Page, count, page
from millstream.server.storage.tables import assistants, crons

if TYPE_CHECKING:
    from millstream.server.runs.requests import Plan
    from millstream.server.storage.run_records import Created, Holder

KEYS: Final = (
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
)
"""What clients see, in their order."""


class ChangedCronError(Exception):
    """A cron is no longer what it was when it was looked up."""


def create(
    connection: Connection, row: Mapping[str, Any], filters: Filters | None = None
) -> dict[str, Any]:
    """Store a cron of an assistant, in a thread or without one."""
    is_known = connection.scalar(
        select(assistants.c.assistant_id).where(assistants.c.assistant_id == row["assistant_id"])
    )
    if is_known is None:
        raise not_found(f"Assistant with ID {row['assistant_id']}")
    if row["thread_id"] is not None:
        threads.metadata_of(connection, row["thread_id"], filters)
    connection.execute(crons.insert(), row)
    return {key: row[key] for key in KEYS}


def need(
    connection: Connection, cron_id: str, filters: Filters | None = None, *, holds: bool = False
) -> dict[str, Any]:
    """Return a cron, which nobody else changes in this transaction if it `holds` it."""
    query = select(*(crons.c[key] for key in KEYS)).where(crons.c.cron_id == cron_id)
    if holds:
        query = query.with_for_update(key_share=True)
    found = connection.execute(query).mappings().one_or_none()
    if found is None or not allows(found["metadata"], filters):
        raise not_found(f"Cron with ID {cron_id}")
    return dict(found)


def patch(
    connection: Connection,
    cron_id: str,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    filters: Filters | None = None,
) -> dict[str, Any]:
    """Store what `change` makes of a cron."""
    known = need(connection, cron_id, filters, holds=True)
    changed = change(known)
    connection.execute(crons.update().where(crons.c.cron_id == cron_id), changed)
    return {**known, **changed}


def delete(connection: Connection, cron_id: str, filters: Filters | None = None) -> None:
    """Delete a cron; what it has begun goes on."""
    need(connection, cron_id, filters)
    connection.execute(crons.delete().where(crons.c.cron_id == cron_id))


def search(
    connection: Connection,
    /,
    *,
    select: Sequence[str] | None,
    sort_by: str,
    sort_order: str,
    limit: int,
    offset: int,
    filters: Filters | None = None,
    **wanted: Any,
) -> Page:
    """Return some of the crons that fit."""
    return page(
        connection,
        crons,
        _condition(filters=filters, **wanted),
        columns=[key for key in KEYS if select is None or key in select],
        sort=[(sort_by, sort_order), ("cron_id", sort_order)],
        limit=limit,
        offset=offset,
    )


def count_all(connection: Connection, /, *, filters: Filters | None = None, **wanted: Any) -> int:
    """Return how many crons fit."""
    return count(connection, crons, _condition(filters=filters, **wanted))


def due(connection: Connection, time: str, limit: int) -> list[dict[str, Any]]:
    """Return crons whose time has come, those that wait longest first, with who asked for them."""
    query = (
        select(*(crons.c[key] for key in KEYS), crons.c.asker)
        .where(crons.c.enabled.is_(True), crons.c.next_run_date <= time)
        .order_by(crons.c.next_run_date, crons.c.cron_id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def next_due(connection: Connection) -> str | None:
    """Return when the next cron is due."""
    query = (
        select(crons.c.next_run_date)
        .where(crons.c.enabled.is_(True), crons.c.next_run_date.is_not(None))
        .order_by(crons.c.next_run_date)
        .limit(1)
    )
    return connection.scalar(query)


def advance(connection: Connection, known: Mapping[str, Any], to: str | None) -> None:
    """Store when a cron is due next, unless it was changed meanwhile."""
    changed = connection.execute(
        crons.update()
        .where(
            crons.c.cron_id == known["cron_id"],
            crons.c.next_run_date == known["next_run_date"],
            crons.c.updated_at == known["updated_at"],
        )
        .values(next_run_date=to)
    )
    if not changed.rowcount:
        raise ChangedCronError(known["cron_id"])


def fire(
    connection: Connection,
    assistant_id: str,
    plan: Plan,
    filters: Filters | None,
    *,
    holder: Holder | None,
    is_read: Callable[[str], bool] | None = None,
    known: Mapping[str, Any],
    to: str | None,
) -> Created:
    """Store the run of a cron together with when it is due next: both, or neither."""
    advance(connection, known, to)
    return runs.create(connection, assistant_id, plan, filters, holder=holder, is_read=is_read)


def _condition(
    *,
    assistant_id: str | None,
    thread_id: str | None,
    enabled: bool | None,
    metadata: Mapping[str, Any],
    filters: Filters | None,
) -> ColumnElement[bool]:
    return and_(
        crons.c.assistant_id == assistant_id if assistant_id is not None else true(),
        crons.c.thread_id == thread_id if thread_id is not None else true(),
        crons.c.enabled.is_(enabled) if enabled is not None else true(),
        contains(crons.c["metadata"], metadata),
        allowed(crons.c["metadata"], filters),
    )
