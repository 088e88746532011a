"""The database in PostgreSQL: several threads write, each function in a transaction of its own.

What goes wrong because somebody else was there first, or because a connection is lost, is done
again from the beginning. A connection may be lost while nobody knows whether the server has
committed: the number of the transaction tells, so that nothing is written twice or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from millstream._base.patience import Patience
from millstream.server.clock import Clock
from millstream.server.errors import ConfigError
from millstream.server.storage.database import READERS, Database
from millstream.server.storage.postgres_engine import (
    SCHEMA,
    TRANSACTION,
    WRITES,
    Address,
    import_psycopg,
    make_engine,
)
from millstream.server.storage.postgres_indexes import SearchIndex, complete, missing
from millstream.server.storage.postgres_migrations import bring_up_to_date

if TYPE_CHECKING:
    from millstream.server.encryption.sealer import Sealer

T = TypeVar("T")

_WRITERS: Final = 8
_PATIENCE: Final = 30.0
"""Seconds for which a server is waited for that cannot be reached."""
_TRIES: Final = 5
"""How often a function is called at most, each time after others have come in between."""
_OVERTAKEN: Final = ("40001", "40P01", "23503", "23505")
"""The codes of errors that tell of others: a conflict, a deadlock, and rows that were not there, or
were, when the function looked."""
_UNREACHABLE: Final = ("08", "25P03", "57P01", "57P02", "57P03", "53300")
"""How the codes of errors begin that are about the server and not about what was asked."""
_PASSING: Final = ("25006", "40", "53", "55", "57", "58")
"""The same of errors that may be gone later: conflicts, a full disk, a server that only reads."""
_SEALED: Final = "millstream: values are sealed by handlers"


class PostgresDatabase(Database):
    """Tables in a schema of a PostgreSQL database."""

    writes_in_order = False

    def __init__(
        self,
        address: Address,
        sealer: Sealer | None = None,
        *,
        schema: str = SCHEMA,
        patience: float = _PATIENCE,
        clock: Clock | None = None,
        is_left: threading.Event | None = None,
    ) -> None:
        """Open it; `is_left` is set when nobody waits for that any more."""
        clock = clock or Clock()
        engine = make_engine(address, schema, READERS + _WRITERS, clock)
        super().__init__(repr(address), engine, sealer, clock)
        self._patience = patience
        self._is_ending = threading.Event()
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="millstream-writer")
        try:
            bring_up_to_date(self._write_once, address, self.name, schema, is_left)
            if self._write_once(self._prepare, schema):
                complete(address, schema)
        except DBAPIError as error:
            self.engine.dispose()
            raise ConfigError(f"the database {self.name} cannot be used: {error.orig}") from None
        except BaseException:
            self.engine.dispose()
            raise

    def _prepare(self, connection: Connection, schema: str) -> Sequence[SearchIndex]:
        """See to the sealing; return the indexes that are missing."""
        self._note_sealing(connection)
        return missing(connection.connection.driver_connection, schema)

    def _note_sealing(self, connection: Connection) -> None:
        comment = "SELECT obj_description('alembic_version'::regclass, 'pg_class')"
        was_sealing = connection.exec_driver_sql(comment).scalar() == _SEALED
        if self.note_sealing(was_sealing=was_sealing):
            connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{_SEALED}'")

    def may_pass(self, error: Exception) -> bool:
        """Say whether an error is about the database, and may be gone when one tries again."""
        if not isinstance(error, DBAPIError):
            return False
        return _is_lost(error) or (_code(error) or "").startswith(_PASSING)

    def _read(self, function: Callable[..., T], args: tuple[Any, ...], named: dict[str, Any]) -> T:
        patience = Patience(self._patience, self._is_ending)
        while True:
            try:
                with self._lent() as connection:
                    return function(connection, *args, **named)
            except DBAPIError as error:  # noqa: PERF203
                if not _is_lost(error) or not patience.wait():
                    raise

    def _submit(self, function: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        patience = Patience(self._patience, self._is_ending)
        return self._writers.submit(self._call, function, args, patience)

    def _write_once(self, function: Callable[..., T], *args: Any) -> T:
        """Return what a function returns; a server that cannot be reached is not waited for."""
        return self._call(function, args, Patience(0, self._is_ending))

    def _end_writing(self) -> None:
        self._is_ending.set()
        self._writers.shutdown()

    def _call(self, function: Callable[..., T], args: tuple[Any, ...], patience: Patience) -> T:
        """Return what a function returns, once what it wrote is committed."""
        tries_left = _TRIES
        while True:
            tries_left -= 1
            transaction: str | None = None
            try:
                with self._lent(writes=True) as connection:
                    connection.begin()
                    result = function(connection, *args)
                    transaction = connection.info[TRANSACTION]
                    connection.commit()
                    return result
            except DBAPIError as error:
                if not _is_lost(error):
                    if tries_left and _code(error) in _OVERTAKEN:
                        continue
                    raise
                if transaction is not None and self._has_committed(transaction, patience):
                    return result
                if not patience.wait():
                    raise

    def _has_committed(self, transaction: str, patience: Patience) -> bool:
        """Say whether a transaction was committed, when the server knows."""
        query = text("SELECT pg_xact_status(CAST(:number AS xid8))")
        while True:
            status = self._read(Connection.scalar, (query, {"number": transaction}), {})
            if status != "in progress" or not patience.wait():
                return bool(status == "committed")

    @contextmanager
    def _lent(self, *, writes: bool = False) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            try:
                yield connection.execution_options(**{WRITES: writes})
            except BaseException:
                if driver.closed and not connection.invalidated:
                    connection.invalidate()
                raise


def _code(error: DBAPIError) -> str | None:
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code


def _is_lost(error: DBAPIError) -> bool:
    """Say whether the server was lost, or could not be reached."""
    code = _code(error)
    if code is not None:
        return code.startswith(_UNREACHABLE)
    # It has said nothing any more.
    is_about_server = isinstance(error.orig, import_psycopg().OperationalError)
    return error.connection_invalidated or is_about_server
