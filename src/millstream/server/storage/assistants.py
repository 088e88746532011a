"""Assistants and their versions, in the database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from millstream.server.graphs import assistant_of
from millstream.server.storage.tables import assistant_versions, assistants, now


def ensure_own(connection: Connection, graph_ids: Sequence[str]) -> None:
    """See to it that every graph has the assistant that clients expect of it."""
    known = set(connection.scalars(select(assistants.c.assistant_id)))
    for graph_id in graph_ids:
        assistant_id = assistant_of(graph_id)
        if assistant_id in known:
            continue
        time = now()
        row = {
            "assistant_id": assistant_id,
            "graph_id": graph_id,
            "name": graph_id,
            "description": None,
            "version": 1,
            "created_at": time,
            "metadata": {"created_by": "system"},
            "config": {},
            "context": {},
        }
        connection.execute(assistants.insert(), {**row, "updated_at": time})
        connection.execute(assistant_versions.insert(), row)
