"""The database, reached from any event loop.

What reads or writes is a function of a SQLAlchemy connection, and runs in a thread of the
database. All that waits to write shares a transaction, each function in a savepoint of its own, and
is answered when it is committed.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event

from millstream.server.encryption.context import bound
from millstream.server.errors import ConfigError
from millstream.server.storage.containment import holds
from millstream.server.storage.migrations import migrate
from millstream.server.storage.tables import seal_with

if TYPE_CHECKING:
    from millstream.server.encryption.sealer import Sealer

P = ParamSpec("P")
T = TypeVar("T")

_READERS: Final = 4
_MOST_TOGETHER: Final = 256
"""Functions that share a transaction at most: those behind them wait for its commit."""
_WRITES: Final = "millstream_writes"
_SEALED: Final = 1
"""The `user_version` of a file whose values are sealed."""


class DatabaseClosedError(RuntimeError):
    """Something was asked of a database that is closed."""


class _Job(NamedTuple):
    function: Callable[..., Any]
    args: tuple[Any, ...]
    future: Future[Any]


class Database:
    """A SQLite file: one thread writes, several read, and nobody waits for a reader."""

    def __init__(self, path: str | os.PathLike[str], sealer: Sealer | None = None) -> None:
        self.path = Path(path).absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.engine = _sqlite_engine(self.path)
        self._is_sealing = sealer is not None
        seal_with(self.engine, sealer)
        self._lock = threading.Lock()
        self._is_closed = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        try:
            with self._writing() as connection:
                migrate(connection)
                self._note_sealing(connection)
        except BaseException:
            self.engine.dispose()
            raise
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="millstream-reader")
        self._writer = threading.Thread(
            target=self._write_all, name="millstream-writer", daemon=True
        )
        self._writer.start()

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> T:
        """Return what `function` reads; it sees one state of the database throughout."""
        if self._is_closed:
            raise DatabaseClosedError(f"The database {self.path} is closed")
        future = self._readers.submit(self._read, function, args, named)
        return await asyncio.wrap_future(future)

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> T:
        """Return what `function` returns, once what it wrote is committed.

        What it raises undoes what it wrote, and nothing else. Who is cancelled while it waits has
        written all of it or nothing.
        """
        return await asyncio.wrap_future(self.write_soon(function, *args, **named))

    def write_soon(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **named: P.kwargs
    ) -> Future[T]:
        """Have `function` write, behind all that were given before; the answer may be ignored."""
        future: Future[T] = Future()
        call = (lambda connection: function(connection, *args, **named)) if named else function
        if self._is_sealing:
            call = bound(call)
        with self._lock:
            if self._is_closed:
                raise DatabaseClosedError(f"The database {self.path} is closed")
            self._jobs.put(_Job(call, () if named else args, future))
        return future

    def close(self) -> None:
        """Write what was given before, and end the threads."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._jobs.put(None)
        self._writer.join()
        self._readers.shutdown()
        self.engine.dispose()

    def _read(self, function: Callable[..., T], args: tuple[Any, ...], named: dict[str, Any]) -> T:
        with self.engine.connect() as connection:
            return function(connection, *args, **named)

    def _writing(self) -> Connection:
        return self.engine.connect().execution_options(**{_WRITES: True})

    def _note_sealing(self, connection: Connection) -> None:
        """Note that values are sealed; refuse to take what is sealed for values."""
        with connection.begin():
            was_sealing = connection.exec_driver_sql("PRAGMA user_version").scalar() == _SEALED
            if self._is_sealing and not was_sealing:
                connection.exec_driver_sql(f"PRAGMA user_version = {_SEALED}")
        if was_sealing and not self._is_sealing:
            raise ConfigError(
                f"the database {self.path} was sealed by handlers: name them with encryption.path, "
                "or name another database"
            )

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


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=_READERS + 1,
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
