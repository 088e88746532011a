"""What queries of all resources have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from millstream.server.storage.tables import IS_FREE, Json, RawJson


class Page(NamedTuple):
    """Some of the rows that were looked for, and how many there are."""

    rows: list[dict[str, Any]]
    total: int
    offset: int

    @property
    def headers(self) -> dict[str, str]:
        """Return what tells a client how to go on."""
        headers = {"x-pagination-total": str(self.total)}
        end = self.offset + len(self.rows)
        if self.rows and end < self.total:
            headers["x-pagination-next"] = str(end)
        return headers


def page(
    connection: Connection,
    table: Table,
    condition: ColumnElement[bool],
    *,
    columns: Sequence[str],
    sort: Sequence[tuple[str, str]],
    limit: int,
    offset: int,
    raw: Collection[str] = (),
) -> Page:
    """Return the rows that fit, sorted by columns and "asc" or "desc".

    What `raw` columns have is not looked at, and goes into the answer as it is. The order is the
    same in either database: no value comes before all others, and texts are in that of their
    characters.
    """
    order = [_ordered(table.c[name], direction) for name, direction in sort]
    chosen = [unread(table.c[name]) if name in raw else table.c[name] for name in columns]
    keys = [*table.primary_key]
    # Looked for by their keys: rows that are sorted, or passed over, are not read as a whole.
    wanted = select(*keys).where(condition).order_by(*order).limit(limit).offset(offset).subquery()
    found = connection.execute(
        select(*chosen or [literal(1)])  # somebody may want nothing of them
        .select_from(table)
        .join(wanted, and_(*(key == wanted.c[key.name] for key in keys)))
        .order_by(*order)
    )
    rows = [dict(row) if chosen else {} for row in found.mappings()]
    total = offset + len(rows)
    if len(rows) == limit or (offset and not rows):
        total = count(connection, table, condition)
    return Page(rows, total, offset)


def _ordered(column: Column[Any], direction: str) -> ColumnElement[Any]:
    is_ascending = direction == "asc"
    key = _AsWritten(column) if column.info.get(IS_FREE) else column
    order = key.asc() if is_ascending else key.desc()
    if not column.nullable:
        return order  # as indexes have it
    return order.nulls_first() if is_ascending else order.nulls_last()


class _AsWritten(FunctionElement[str]):
    """A text, to be sorted by its characters and not as the language of a database has it."""

    inherit_cache = True
    type = Text()


@compiles(_AsWritten)
def _in_sqlite(element: _AsWritten, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(_AsWritten, "postgresql")
def _in_postgresql(element: _AsWritten, compiler: SQLCompiler, **options: Any) -> str:
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'


def unread(column: Column[Any]) -> ColumnElement[Any]:
    """Return a column of JSON whose values are only passed on."""
    kind = column.type
    assert isinstance(kind, Json)
    return type_coerce(column, RawJson(kind.model, kind.field)).label(column.name)


def count(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    """Return how many rows fit."""
    return connection.scalar(select(func.count()).select_from(table).where(condition)) or 0


def merged(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metadata with others laid over them."""
    return {**old, **(new or {})}
