"""What webhooks are still to be told, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.utils.uuid import uuid7
from sqlalchemy import Connection, select

from millstream.server.storage.tables import deliveries


def add(connection: Connection, run_id: str, url: str, body: Mapping[str, Any]) -> None:
    """Store what a webhook is to be told, at once."""
    row = {"delivery_id": str(uuid7()), "run_id": run_id, "url": url, "next_attempt_at": ""}
    connection.execute(deliveries.insert(), {**row, "body": body})


def due(
    connection: Connection, time: str, under_way: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """Return what is to be told now, but for what is under way; what waits longest first."""
    query = (
        select(deliveries)
        .where(deliveries.c.next_attempt_at <= time, deliveries.c.delivery_id.not_in(under_way))
        .order_by(deliveries.c.next_attempt_at, deliveries.c.delivery_id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def next_attempt(connection: Connection, under_way: Sequence[str]) -> str | None:
    """Return when the next webhook is to be told, but for what is under way."""
    query = (
        select(deliveries.c.next_attempt_at)
        .where(deliveries.c.delivery_id.not_in(under_way), deliveries.c.next_attempt_at != "")
        .order_by(deliveries.c.next_attempt_at)
        .limit(1)
    )
    return connection.scalar(query)


def put_off(connection: Connection, delivery_id: str, attempts: int, until: str) -> None:
    """Store that somebody is to be told later."""
    connection.execute(
        deliveries.update()
        .where(deliveries.c.delivery_id == delivery_id)
        .values(attempts=attempts, next_attempt_at=until)
    )


def remove(connection: Connection, delivery_id: str) -> None:
    """Forget what somebody was told, or will not be told."""
    connection.execute(deliveries.delete().where(deliveries.c.delivery_id == delivery_id))
