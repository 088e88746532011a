"""Statements that are compiled once, for what every run does.

They are SQLAlchemy's, of the same tables; only that none is built, looked up and wrapped anew each
time, which takes ten times as long as what the database does for it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase

_tuple_type: Final[Callable[[str, list[str]], Any]] = namedtuple
_Convert: TypeAlias = Callable[[Any], Any] | None


class _Compiled(NamedTuple):
    dialect: Dialect
    text: str
    names: tuple[str, ...]
    """The values, in the order in which the driver wants them if it wants them so."""
    is_positional: bool
    binders: tuple[_Convert, ...]
    """What each of them becomes for the driver."""
    getters: tuple[_Convert, ...]
    """What each column becomes that the driver gives."""

    def given(self, values: Mapping[str, Any]) -> list[Any] | dict[str, Any]:
        """Return values for the driver."""
        found = [
            values[name] if bind is None else bind(values[name])
            for name, bind in zip(self.names, self.binders, strict=True)
        ]
        return found if self.is_positional else dict(zip(self.names, found, strict=True))


class Prepared:
    """A statement whose values are given by the names of its `bindparam`s and of its columns."""

    def __init__(self, statement: Select[Any] | UpdateBase, *columns: str) -> None:
        """Prepare a statement; `columns` are those that an insert or an update sets."""
        self._statement: Final = statement
        self._columns: Final = list(columns) or None
        self._compiled: _Compiled | None = None
        selected = statement.selected_columns if isinstance(statement, Select) else ()
        self._types: Final = [column.type for column in selected]
        names = [str(column.key) for column in selected]
        self._row: Final[Any] = _tuple_type("Row", names)

    def run(self, connection: Connection, **values: Any) -> None:
        """Write."""
        compiled = self._for(connection.dialect)
        _cursor(connection, compiled, compiled.given(values))

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write once for each of several sets of values."""
        compiled = self._for(connection.dialect)
        _cursor(connection, compiled, [compiled.given(row) for row in rows], are_many=True)

    def first(self, connection: Connection, **values: Any) -> Any:
        """Return the first row, None if there is none."""
        compiled = self._for(connection.dialect)
        cursor = _cursor(connection, compiled, compiled.given(values))
        row = cursor.fetchone()
        cursor.close()  # there may be others, which nobody wants
        return None if row is None else self._shaped(row, compiled)

    def all(self, connection: Connection, **values: Any) -> list[Any]:
        """Return the rows."""
        compiled = self._for(connection.dialect)
        cursor = _cursor(connection, compiled, compiled.given(values))
        return [self._shaped(row, compiled) for row in cursor.fetchall()]

    def _shaped(self, row: Sequence[Any], compiled: _Compiled) -> Any:
        return self._row._make(
            value if get is None else get(value)
            for value, get in zip(row, compiled.getters, strict=True)
        )

    def _for(self, dialect: Dialect) -> _Compiled:
        known = self._compiled
        if known is None or known.dialect is not dialect:
            known = self._compiled = self._compile(dialect)
        return known

    def _compile(self, dialect: Dialect) -> _Compiled:
        made: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)
        names = tuple(made.positiontup if made.positional else made.binds)
        types = [made.binds[name].type.dialect_impl(dialect) for name in names]
        return _Compiled(
            dialect,
            str(made),
            names,
            made.positional,
            tuple(type.bind_processor(dialect) for type in types),
            tuple(
                type.dialect_impl(dialect).result_processor(dialect, None) for type in self._types
            ),
        )


def told(error: Exception, text: str, dialect: Dialect) -> Exception:
    """Return an error of the driver as that of any other statement.

    What the statement was given is nothing for a log.
    """
    kind = dialect.loaded_dbapi.Error
    made: Exception = DBAPIError.instance(text, None, error, kind, dialect=dialect)
    return made


def _cursor(
    connection: Connection, compiled: _Compiled, given: Any, *, are_many: bool = False
) -> Any:
    """Execute, and return what the driver has found."""
    if not connection.in_transaction():
        connection.begin()  # as before any other statement
    cursor = connection.connection.cursor()
    try:
        (cursor.executemany if are_many else cursor.execute)(compiled.text, given)
    except Exception as error:
        raise told(error, compiled.text, compiled.dialect) from error
    return cursor
