"""Conditions on values of JSON: what contains what, and the filters of auth handlers.

A value contains another as PostgreSQL's `@>` has it: a dict what each of its entries contains, a
list what any of its elements contain, anything else its equal. `true` is not 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import Boolean, ColumnElement, and_, literal, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from millstream.server.encoding import dumps

Filters: TypeAlias = Mapping[str, Any]
"""What an auth handler allows its caller to see: `{"owner": "ada"}`, `{"owner": {"$eq": "ada"}}`,
`{"readers": {"$contains": "ada"}}` or a list of what has to be in it."""

_OPERATORS: Final = ("$eq", "$contains")


def contains(column: ColumnElement[Any], wanted: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition that a column of JSON contains `wanted`, in either database."""
    if not wanted:
        return true()
    return _Holds(column, literal(dumps(wanted).decode()))


def allowed(column: ColumnElement[Any], filters: Filters | None) -> ColumnElement[bool]:
    """Return the condition that the metadata in `column` pass the filters of an auth handler."""
    if not filters:
        return true()
    return and_(*(contains(column, wanted) for wanted in _as_containment(filters)))


def allows(metadata: Mapping[str, Any], filters: Filters | None) -> bool:
    """Return whether metadata pass the filters of an auth handler."""
    return all(is_contained(wanted, metadata) for wanted in _as_containment(filters or {}))


def is_contained(wanted: Any, value: Any) -> bool:
    """Return whether `value` contains `wanted`."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            key in value and is_contained(item, value[key]) for key, item in wanted.items()
        )
    if isinstance(wanted, (list, tuple)):
        return isinstance(value, (list, tuple)) and all(
            any(is_contained(item, candidate) for candidate in value) for item in wanted
        )
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    return bool(wanted == value)


def holds(document: str | None, wanted: str) -> bool:
    """Do the same with texts: SQLite's function `json_holds`."""
    if document is None:
        return False
    return is_contained(_parsed(wanted), orjson.loads(document))


def check_filters(filters: Filters) -> None:
    """Refuse filters with an operator that there is not."""
    _as_containment(filters)


def exact(filters: Filters | None) -> dict[str, Any]:
    """Return metadata that pass filters, as far as these say what they have to be."""
    found: dict[str, Any] = {}
    for wanted in _as_containment(filters or {}):
        found.update(wanted)
    return found


def is_of_others(metadata: Mapping[str, Any], filters: Filters | None) -> bool:
    """Return whether metadata say whose they are, and that is not who the filters are for."""
    return any(key in metadata for key in filters or ()) and not allows(metadata, filters)


def _as_containment(filters: Filters) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    for key, condition in filters.items():
        if not isinstance(condition, Mapping):
            conditions.append({key: condition})
            continue
        for operator, operand in condition.items():
            if operator not in _OPERATORS:
                raise ValueError(
                    f"an auth handler's filter for {key!r} has {operator!r}; "
                    f"there are {', '.join(_OPERATORS)}"
                )
            if operator == "$contains":
                operand = operand if isinstance(operand, (list, tuple)) else [operand]
            conditions.append({key: operand})
    return conditions


class _Holds(FunctionElement[bool]):
    """Containment as the database says it; SQLite is given `holds` for that."""

    inherit_cache = True
    type = Boolean()


@compiles(_Holds)
def _in_sqlite(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_holds({compiler.process(element.clauses, **options)})"


@compiles(_Holds, "postgresql")
def _in_postgresql(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} @> CAST({wanted} AS JSONB)"


@lru_cache(maxsize=64)
def _parsed(wanted: str) -> Any:
    return orjson.loads(wanted)
