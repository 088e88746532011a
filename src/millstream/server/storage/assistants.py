"""Assistants and their versions, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, true

from millstream.server.clock import stamp
from millstream.server.errors import ApiError, not_found
from millstream.server.graphs import assistant_of
from millstream.server.storage.containment import Filters, allowed, allows, contains
from millstream.server.storage.queries import Page, count, merged, page
from millstream.server.storage.tables import assistant_versions, assistants, crons, threads
from millstream.server.storage.times import moment, now

KEYS: Final = (
    "assistant_id",
    "graph_id",
    "config",
    "context",
    "metadata",
    "name",
    "created_at",
    "updated_at",
    "version",
    "description",
)
VERSION_KEYS: Final = (
    "assistant_id",
    "version",
    "graph_id",
    "config",
    "context",
    "metadata",
    "created_at",
    "name",
    "description",
)
_OF_A_VERSION: Final = ("graph_id", "config", "context", "metadata", "name", "description")


def ensure_own(connection: Connection, graph_ids: Sequence[str]) -> None:
    """See to it that every graph has the assistant that clients expect of it."""
    known = set(connection.scalars(select(assistants.c.assistant_id)))
    time = moment(connection)
    for place, graph_id in enumerate(graph_ids):
        assistant_id = assistant_of(graph_id)
        if assistant_id not in known:
            values = {"graph_id": graph_id, "name": graph_id, "metadata": {"created_by": "system"}}
            # One after the other: so they are listed in the order of the graphs.
            at = stamp(time + timedelta(microseconds=place))
            _insert(connection, assistant_id, values, at)


def create(
    connection: Connection,
    assistant_id: str,
    values: Mapping[str, Any],
    *,
    must_be_new: bool,
    filters: Filters | None = None,
) -> dict[str, Any]:
    """Make an assistant, or return the one that has its id."""
    known = _find(connection, assistant_id)
    if known is None:
        return _insert(connection, assistant_id, values, now(connection))
    if must_be_new or not allows(known["metadata"], filters):
        raise ApiError(409, f"Assistant {assistant_id} already exists")
    return known


def get(
    connection: Connection, assistant_id: str, filters: Filters | None = None
) -> dict[str, Any] | None:
    """Return an assistant, None if there is none for this caller."""
    found = _find(connection, assistant_id)
    return found if found is not None and allows(found["metadata"], filters) else None


def patch(
    connection: Connection,
    assistant_id: str,
    changes: Mapping[str, Any],
    filters: Filters | None = None,
) -> dict[str, Any]:
    """Give an assistant a new version, in which some things are different."""
    known = _hold(connection, assistant_id, filters)
    newest = connection.scalar(
        select(func.max(assistant_versions.c.version)).where(
            assistant_versions.c.assistant_id == assistant_id
        )
    )
    time = now(connection)
    row = {
        **known,
        **{key: value for key, value in changes.items() if key != "metadata"},
        "metadata": merged(known["metadata"], changes.get("metadata")),
        "version": (newest or known["version"]) + 1,
        "updated_at": time,
    }
    _insert_version(connection, {**row, "created_at": time})
    _update(connection, row)
    return row


def set_latest(
    connection: Connection, assistant_id: str, version: int, filters: Filters | None = None
) -> dict[str, Any]:
    """Make an assistant what it was in one of its versions."""
    known = _hold(connection, assistant_id, filters)
    found = connection.execute(
        select(*(assistant_versions.c[key] for key in _OF_A_VERSION)).where(
            assistant_versions.c.assistant_id == assistant_id,
            assistant_versions.c.version == version,
        )
    ).mappings()
    old = found.one_or_none()
    if old is None:
        raise not_found(f"Version {version} of assistant {assistant_id}")
    row = {**known, **old, "version": version, "updated_at": now(connection)}
    _update(connection, row)
    return row


def delete(
    connection: Connection,
    assistant_id: str,
    *,
    with_threads: bool = False,
    filters: Filters | None = None,
) -> list[str]:
    """Delete an assistant with its crons; return which threads are to be deleted too."""
    _need(connection, assistant_id, filters)
    connection.execute(crons.delete().where(crons.c.assistant_id == assistant_id))
    connection.execute(assistants.delete().where(assistants.c.assistant_id == assistant_id))
    if not with_threads:
        return []
    is_its = contains(threads.c["metadata"], {"assistant_id": assistant_id})
    return list(connection.scalars(select(threads.c.thread_id).where(is_its)))


def search(
    connection: Connection,
    *,
    metadata: Mapping[str, Any],
    graph_id: str | None,
    name: str | None,
    select: Sequence[str] | None,
    sort_by: str,
    sort_order: str,
    limit: int,
    offset: int,
    filters: Filters | None = None,
) -> Page:
    """Return some of the assistants that fit."""
    return page(
        connection,
        assistants,
        _condition(metadata, graph_id, name, filters),
        columns=[key for key in KEYS if select is None or key in select],
        sort=[(sort_by, sort_order), ("assistant_id", "asc")],
        limit=limit,
        offset=offset,
    )


def count_all(
    connection: Connection,
    *,
    metadata: Mapping[str, Any],
    graph_id: str | None,
    name: str | None,
    filters: Filters | None = None,
) -> int:
    """Return how many assistants fit."""
    return count(connection, assistants, _condition(metadata, graph_id, name, filters))


def versions(
    connection: Connection,
    assistant_id: str,
    *,
    metadata: Mapping[str, Any],
    limit: int,
    offset: int,
    filters: Filters | None = None,
) -> list[dict[str, Any]]:
    """Return versions of an assistant, the newest first."""
    _need(connection, assistant_id, filters)
    condition = and_(
        assistant_versions.c.assistant_id == assistant_id,
        contains(assistant_versions.c["metadata"], metadata),
    )
    return page(
        connection,
        assistant_versions,
        condition,
        columns=VERSION_KEYS,
        sort=[("version", "desc")],
        limit=limit,
        offset=offset,
    ).rows


def _condition(
    metadata: Mapping[str, Any], graph_id: str | None, name: str | None, filters: Filters | None
) -> ColumnElement[bool]:
    column = assistants.c["metadata"]
    return and_(
        contains(column, metadata),
        allowed(column, filters),
        assistants.c.graph_id == graph_id if graph_id is not None else true(),
        assistants.c.name.icontains(name, autoescape=True) if name is not None else true(),
    )


def _find(connection: Connection, assistant_id: str) -> dict[str, Any] | None:
    return _only(connection, _by_id(assistant_id))


def _hold(connection: Connection, assistant_id: str, filters: Filters | None) -> dict[str, Any]:
    """Return an assistant that nobody else changes until the transaction ends."""
    found = _only(connection, _by_id(assistant_id).with_for_update(key_share=True))
    return _allowed(found, assistant_id, filters)


def _need(connection: Connection, assistant_id: str, filters: Filters | None) -> dict[str, Any]:
    return _allowed(_find(connection, assistant_id), assistant_id, filters)


def _by_id(assistant_id: str) -> Select[Any]:
    return select(*(assistants.c[key] for key in KEYS)).where(
        assistants.c.assistant_id == assistant_id
    )


def _only(connection: Connection, query: Select[Any]) -> dict[str, Any] | None:
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def _allowed(
    found: dict[str, Any] | None, assistant_id: str, filters: Filters | None
) -> dict[str, Any]:
    if found is None or not allows(found["metadata"], filters):
        raise not_found(f"Assistant with ID {assistant_id}")
    return found


def _insert(
    connection: Connection, assistant_id: str, values: Mapping[str, Any], time: str
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "assistant_id": assistant_id,
        "config": {},
        "context": {},
        "metadata": {},
        "description": None,
        **values,
        "created_at": time,
        "updated_at": time,
        "version": 1,
    }
    row = {key: given[key] for key in KEYS}
    connection.execute(assistants.insert(), row)
    _insert_version(connection, row)
    return row


def _insert_version(connection: Connection, row: Mapping[str, Any]) -> None:
    connection.execute(assistant_versions.insert(), {key: row[key] for key in VERSION_KEYS})


def _update(connection: Connection, row: Mapping[str, Any]) -> None:
    changed = {key: row[key] for key in (*_OF_A_VERSION, "version", "updated_at")}
    connection.execute(
        assistants.update().where(assistants.c.assistant_id == row["assistant_id"]), changed
    )
