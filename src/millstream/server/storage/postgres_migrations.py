"""Bringing tables in PostgreSQL up to date while servers use them.

Whoever changes a table has it alone for a moment, and waits for those who use it; all who come
later wait behind it. So it waits half a second at most, gives up its place, and tries again when
they have had theirs. Each step is a transaction of its own, so that what one has locked is free
before the next. Indexes are made before that, in the way that lets others write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, text

from millstream._base.patience import Patience
from millstream.server.errors import ConfigError
from millstream.server.storage import migrations
from millstream.server.storage.postgres_engine import let_take_long
from millstream.server.storage.postgres_turn import INDEXES_TURN, turn

if TYPE_CHECKING:
    import threading

    from millstream.server.storage.postgres_engine import Address

LOCK_TIMEOUT: Final = "500ms"
PATIENCE: Final = 120.0
"""Seconds for which it is tried again to have a table alone."""
_FIRST: Final = ""
"""The step to a database that has no tables: all of them at once."""
_TAKEN: Final = "55P03"
"""The code of the error of who has waited too long for a lock."""
_IDLE: Final = "25P03"
"""That of who has said nothing for too long in a transaction: a process without a processor."""
_HALF: Final = """
SELECT count(*) FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relname = %s AND NOT indisvalid
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"


def bring_up_to_date(
    write: Callable[..., Any],
    address: Address,
    name: str,
    schema: str,
    is_left: threading.Event | None = None,
) -> None:
    """Take the steps that the tables of a schema lack.

    `write` calls a function in a transaction, `name` is what errors call the database. Once
    `is_left` is set, others are not waited for any more.
    """
    patience = Patience(PATIENCE, is_left)

    def write_in_time(function: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                return write(function, *args)
            except Exception as error:  # noqa: PERF203
                # Modules are imported meanwhile, which is quick when it is done again.
                if _code(error) != _IDLE or not patience.wait():
                    raise

    while (step := write_in_time(_next, name, schema)) is not None:
        try:
            if step != _FIRST:
                _make_indexes(address, schema, step, is_left)
            write_in_time(_take, name, schema, step)
        except Exception as error:  # noqa: PERF203
            if _code(error) != _TAKEN:
                raise
            if not patience.wait():
                raise ConfigError(
                    f"the tables of {name} were in use for {PATIENCE:g} s, so step {step} could "
                    "not be taken: end the transactions that hold them (pg_stat_activity shows "
                    "them), and try again"
                ) from error


def _code(error: Exception) -> str | None:
    # psycopg's own where there is no transaction.
    code: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return code


def _next(connection: Connection, name: str, schema: str) -> str | None:
    """Return the next step that the tables lack, None if they lack none."""
    if not _has_schema(connection, schema):
        return _FIRST
    if not migrations.is_needed(connection, name):
        return None
    found = migrations.revision(connection)
    if found is None:
        return _FIRST
    return next(number for number in migrations.steps() if number > found)


def _take(connection: Connection, name: str, schema: str, step: str) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    # Who comes second waits here, and then sees that nothing is left to do.
    connection.execute(text(_LOCK), {"name": f"millstream.server {schema}"})
    if _next(connection, name, schema) != step:
        return
    if not _has_schema(connection, schema):
        # Making one takes a right, also where it is there and nothing is made.
        connection.exec_driver_sql(f"CREATE SCHEMA {_quoted(schema)}")
    migrations.take(connection, name, step or migrations.HEAD)


def _make_indexes(
    address: Address, schema: str, step: str, is_left: threading.Event | None = None
) -> None:
    """Make the indexes of a step, in whatever time that takes; what is half made is made anew.

    Nobody waits for that, but it waits for all transactions that may see rows as they were.
    """
    wanted = migrations.indexes(step)
    if not wanted:
        return
    place = _quoted(schema)
    with (
        turn(address, INDEXES_TURN.format(schema), is_left=is_left),
        address.connect() as connection,
    ):
        let_take_long(connection, PATIENCE)
        for name, on in wanted.items():
            [is_half] = connection.execute(_HALF, [schema, name]).fetchone()
            if is_half:
                connection.execute(f"DROP INDEX CONCURRENTLY {place}.{name}")
            connection.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {place}.{on}")


def _has_schema(connection: Connection, schema: str) -> bool:
    query = text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :name")
    return connection.scalar(query, {"name": schema}) is not None


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
