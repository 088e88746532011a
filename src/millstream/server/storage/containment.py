"""Conditions on values of JSON: what contains what, and the filters of auth handlers.

A value contains another as PostgreSQL's `@>` has it: a dict what each of its entries contains, a
list what any of its elements contain, anything else its equal. `true` is not 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import Boolean, ColumnElement, and_, func, literal, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from millstream.server.encoding import dumps
from millstream.server.storage.nul import JsonText

Filters: TypeAlias = Mapping[str, Any]
"""What an auth handler allows its caller to see: `{"owner": "ada"}`, `{"owner": {"$eq": "ada"}}`,
`{"readers": {"$contains": "ada"}}` or a list of what has to be in it."""

_OPERATORS: Final = ("$eq", "$contains")
_EXACT: Final = 1 << 53
"""From here on a number may be another one for SQLite."""
_IS_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]*').fullmatch
"""Whether a key is in JSON as it is."""


def contains(column: ColumnElement[Any], wanted: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition that a column of JSON contains `wanted`, in either database."""
    if not wanted:
        return true()
    tests: list[ColumnElement[bool]] = []
    rest: dict[str, Any] = {}
    for key, value in wanted.items():
        found = _tests(column, "$", key, value)
        if found is None:
            rest[key] = value
        else:
            tests += found
    if rest:
        tests.append(_Holds(column, literal(dumps(rest).decode())))
    return _Contains(column, literal(dumps(wanted).decode(), JsonText()), and_(*tests))


def _tests(
    column: ColumnElement[Any], path: str, key: Any, value: Any
) -> list[ColumnElement[bool]] | None:
    """Return how SQLite finds out by itself that an object has an entry; None if it cannot."""
    if not isinstance(key, str) or not _IS_PLAIN(key):
        return None
    path = f'{path}."{key}"'
    kind = func.json_type(column, path)
    if value is None or isinstance(value, bool):
        return [kind == literal(orjson.dumps(value).decode())]
    if type(value) is str and "\0" not in value:
        return [kind == literal("text"), func.json_extract(column, path) == literal(value)]
    if type(value) is int and abs(value) < _EXACT:
        return [
            kind.in_(("integer", "real")),
            func.json_extract(column, path) == literal(value),
        ]
    if not isinstance(value, Mapping):
        return None
    found: list[ColumnElement[bool]] = [kind == literal("object")]
    for inner in value:
        tests = _tests(column, path, inner, value[inner])
        if tests is None:
            return None
        found += tests
    return found


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
    """Containment, for which SQLite is given `holds`."""

    inherit_cache = True
    type = Boolean()


@compiles(_Holds)
def _by_function(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_holds({compiler.process(element.clauses, **options)})"


class _Contains(FunctionElement[bool]):
    """Containment as the database says it: a column, what is wanted, and how SQLite tests that."""

    inherit_cache = True
    type = Boolean()


@compiles(_Contains)
def _in_sqlite(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:
    _, _, tests = element.clauses
    return f"({compiler.process(tests, **options)})"


@compiles(_Contains, "postgresql")
def _in_postgresql(element: _Contains, compiler: SQLCompiler, **options: Any) -> str:
    column, whole = (compiler.process(clause, **options) for clause in [*element.clauses][:2])
    return f"CAST({column} AS JSONB) @> CAST({whole} AS JSONB)"


@lru_cache(maxsize=64)
def _parsed(wanted: str) -> Any:
    return orjson.loads(wanted)
