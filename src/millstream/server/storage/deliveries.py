"""What webhooks are still to be told, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.utils.uuid import uuid7
from sqlalchemy import Connection, or_, select, update

from millstream.server.storage.tables import deliveries


def add(connection: Connection, run_id: str, url: str, body: Mapping[str, Any]) -> None:
    """Store what a webhook is to be told, at once."""
    row = {"delivery_id": str(uuid7()), "run_id": run_id, "url": url, "next_attempt_at": ""}
    connection.execute(deliveries.insert(), {**row, "body": body})


def claim(
    connection: Connection, time: str, under_way: Sequence[str], limit: int, holder: str
) -> list[dict[str, Any]]:
    """Have a replica tell what is to be told now, and return it; what waits longest first.

    What it has not got under way it has begun and not ended, and begins again.
    """
    query = (
        select(deliveries)
        .where(
            deliveries.c.next_attempt_at <= time,
            or_(deliveries.c.holder.is_(None), deliveries.c.holder == holder),
            deliveries.c.delivery_id.not_in(under_way),
        )
        .order_by(deliveries.c.next_attempt_at, deliveries.c.delivery_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [dict(row) for row in connection.execute(query).mappings()]
    if found:
        ids = [row["delivery_id"] for row in found]
        taking = update(deliveries).where(deliveries.c.delivery_id.in_(ids))
        connection.execute(taking.values(holder=holder))
    return found


def next_attempt(connection: Connection) -> str | None:
    """Return when the next webhook is to be told that nobody tells yet."""
    query = (
        select(deliveries.c.next_attempt_at)
        .where(deliveries.c.holder.is_(None), deliveries.c.next_attempt_at != "")
        .order_by(deliveries.c.next_attempt_at)
        .limit(1)
    )
    return connection.scalar(query)


def put_off(connection: Connection, delivery_id: str, attempts: int, until: str) -> None:
    """Store that somebody is to be told later."""
    connection.execute(
        deliveries.update()
        .where(deliveries.c.delivery_id == delivery_id)
        .values(attempts=attempts, next_attempt_at=until, holder=None)
    )


def remove(connection: Connection, delivery_id: str) -> None:
    """Forget what somebody was told, or will not be told."""
    connection.execute(deliveries.delete().where(deliveries.c.delivery_id == delivery_id))
