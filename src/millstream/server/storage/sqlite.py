"""The database in a file: one thread writes, several read.

All that waits to write shares a transaction, each function in a savepoint of its own, and is
answered when it is committed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from millstream.server.clock import Clock
from millstream.server.errors import ConfigError
from millstream.server.storage.containment import holds
from millstream.server.storage.database import READERS, Database
from millstream.server.storage.migrations import migrate

if TYPE_CHECKING:
    from millstream.server.encryption.sealer import Sealer

T = TypeVar("T")

_MOST_TOGETHER: Final = 256
"""Functions that share a transaction at most: those behind them wait for its commit."""
_WRITES: Final = "millstream_writes"
_SEALED: Final = 1
"""The `user_version` of a file whose values are sealed."""


class _Job(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    future: Future[Any]


class SqliteDatabase(Database):
    """Tables in a file."""

    writes_in_order = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        sealer: Sealer | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(str(self.path), _engine(self.path), sealer, clock or Clock())
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        try:
            with self._writing() as connection, connection.begin():
                migrate(connection, self.name)
                self._note_sealing(connection)
        except DBAPIError as error:
            self.engine.dispose()
            raise ConfigError(f"the database {self.name} cannot be used: {error.orig}") from error
        except BaseException:
            self.engine.dispose()
            raise
        self._writer = threading.Thread(
            target=self._write_all, name="millstream-writer", daemon=True
        )
        self._writer.start()

    def may_pass(self, error: Exception) -> bool:
        """Say whether an error is about the database, and may be gone when one tries again."""
        return isinstance(error, OperationalError)

    def _read(self, function: Callable[..., T], args: tuple[Any, ...], named: dict[str, Any]) -> T:
        with self.engine.connect() as connection:
            return function(connection, *args, **named)

    def _submit(self, function: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put(_Job(function, args, future))
        return future

    def _end_writing(self) -> None:
        self._jobs.put(None)
        self._writer.join()

    def _writing(self) -> Connection:
        return self.engine.connect().execution_options(**{_WRITES: True})

    def _note_sealing(self, connection: Connection) -> None:
        was_sealing = connection.exec_driver_sql("PRAGMA user_version").scalar() == _SEALED
        if self.note_sealing(was_sealing=was_sealing):
            connection.exec_driver_sql(f"PRAGMA user_version = {_SEALED}")

    def _write_all(self) -> None:
        with self._writing() as connection:
            is_open = True
            while is_open:
                jobs = [self._jobs.get()]
                try:
                    while len(jobs) < _MOST_TOGETHER:
                        jobs.append(self._jobs.get_nowait())
                except Empty:
                    pass
                is_open = jobs[-1] is not None
                wanted = [job for job in jobs if job and job.future.set_running_or_notify_cancel()]
                if wanted:
                    _commit(connection, wanted)


def _commit(connection: Connection, jobs: list[_Job]) -> None:
    outcomes: list[tuple[Any, BaseException | None]]
    try:
        with connection.begin():
            # Who is alone needs no savepoint: what it raises undoes everything.
            outcomes = (
                [(jobs[0].function(connection, *jobs[0].args), None)]
                if len(jobs) == 1
                else [_outcome(connection, job) for job in jobs]
            )
    except BaseException as error:
        outcomes = [(None, error)] * len(jobs)
    for job, (result, failure) in zip(jobs, outcomes, strict=True):
        if failure is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(failure)


def _outcome(connection: Connection, job: _Job) -> tuple[Any, BaseException | None]:
    # Said to the driver itself: SQLAlchemy's would take longer than what most of them do.
    execute = connection.connection.cursor().execute
    execute("SAVEPOINT job")
    try:
        result = job.function(connection, *job.args)
    except BaseException as error:
        try:
            execute("ROLLBACK TO SAVEPOINT job")
            execute("RELEASE SAVEPOINT job")
        except Exception:
            # The database has undone the whole transaction, for a full disk say.
            raise error from None
        return None, error
    execute("RELEASE SAVEPOINT job")
    return result, None


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=READERS + 1,
        max_overflow=0,
        # What clients have sent is not for the log, which has what went wrong.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        # What begins and ends a transaction is said below, not guessed by the driver.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.create_function("json_holds", 2, holds, deterministic=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine
