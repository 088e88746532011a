"""A journal in a SQLite file.

One connection writes, and each reader has one of its own: with a write-ahead log they see the file
as it was when they began, and nobody waits for them. Other processes may have the file open too;
who wants to write waits for the one who does.

Commits are in the log when they return, and the log is not flushed to the disk each time unless
`synchronous` is "full": what the process has committed survives its own death, and what a power
failure leaves is the thread as it was some commits before, never half a commit. From time to time
the log is written back by a thread that ends when it has done so, because that takes as long as
the disk does.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeVar

from langgraph.checkpoint.serde.base import SerializerProtocol

from millstream._base import clock
from millstream.journal.lanes import SharedLane
from millstream.journal.rows import (
    Append,
    Commit,
    FindLines,
    FindNewest,
    ReadParts,
    ReadRows,
    Request,
)
from millstream.journal.saver import Journal
from millstream.journal.sqlite_commits import APPEND, appended, values_of
from millstream.journal.sqlite_rows import FREEING, READING, WRITING
from millstream.journal.sqlite_schema import MASK, is_prepared, prepare
from millstream.journal.storage import JournalClosedError, Lane, WouldWait
from millstream.journal.threads import Threads
from millstream.journal.ttl import TTL

_MOST_IDLE: Final = 8
"""Connections of readers that are kept."""
_LONGEST_LOG: Final = 8 << 20
"""Bytes after which the log is written back."""
_PAGE: Final = 4096
_MANY: Final = 256
"""Rows from which on an event loop does not wait for them itself."""
_LOCKED: Final = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED; CPython 3.10 has no names for them."""
ResultT = TypeVar("ResultT")

_INHERITED: Final[list[Any]] = []
"""Connections of the process that this one was forked from: neither used nor closed here."""


def _close_all(connections: set[sqlite3.Connection]) -> None:
    for connection in tuple(connections):
        connection.close()
    connections.clear()


def _roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction, if there is one: an interrupt may come as it begins."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _shrink(connection: sqlite3.Connection) -> None:
    """Give back free pages, or leave that to the next one if somebody is writing already."""
    try:
        connection.execute("PRAGMA incremental_vacuum").fetchall()
    except sqlite3.OperationalError as error:
        if not _is_locked(error):
            raise


class SqliteStorage:
    """Keeps rows in a file, or in memory for the path `":memory:"`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["normal", "full"] = "normal",
        timeout: float = 30.0,
        threads: Executor | None = None,
    ) -> None:
        if synchronous not in ("normal", "full"):
            raise ValueError(f"synchronous is 'normal' or 'full', not {synchronous!r}")
        self.path = os.fspath(path)
        if self.path not in ("", ":memory:"):
            # Connections are made later too, when the program may have gone to another directory.
            self.path = os.path.abspath(self.path)
        self._synchronous = synchronous
        self._timeout = timeout
        self._threads = Threads(threads)
        self.is_closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        """Guards what writes."""
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._open: set[sqlite3.Connection] = set()
        self._written = 0
        """Bytes in the log, about, since it was written back."""
        self._tidying: threading.Thread | None = None
        self._finalizer = weakref.finalize(self, _close_all, self._open)

    # -- requests --------------------------------------------------------------------------------

    def carry_out(self, request: Request, *, may_wait: bool = True) -> Any:
        """Return the answer; raise `WouldWait` where another process or the disk would delay it."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        reading = READING.get(type(request))
        if reading is not None:
            return self._patiently(lambda: self._read(reading, request, may_wait), may_wait)
        if not may_wait and self._synchronous == "full":
            raise WouldWait
        with self._lock:
            self._refuse_closed()
            answer = self._write(request, may_wait=may_wait)
            if self._written > _LONGEST_LOG:
                self._tidy()
            return answer

    async def acarry_out(self, request: Request) -> Any:
        """Return the answer, through a thread where there may be many rows, or it takes waiting."""
        if not _is_much(request):
            with suppress(WouldWait):
                return self.carry_out(request, may_wait=False)
        return await self._threads.call(self.carry_out, request)

    def is_awaitable(self) -> bool:
        """Say no: it is carried out at once, or takes a thread."""
        return False

    async def await_commit(self, request: Commit) -> list[bool] | None:
        """Do nothing."""

    def is_general(self, error: Exception) -> bool:
        """Say whether somebody else has the file locked."""
        return isinstance(error, sqlite3.OperationalError) and _is_locked(error)

    def make_lane(self) -> Lane:
        """Return one lane for all: one connection writes."""
        return SharedLane(self, threads=self._threads)

    def _read(self, reading: Callable[..., Any], request: Request, may_wait: bool) -> Any:
        with self._reader(may_wait=may_wait) as connection:
            return reading(connection.execute, request)

    def _write(self, request: Request, *, may_wait: bool) -> Any:
        connection = self._writing(may_wait=may_wait)
        try:
            if connection.in_transaction:  # Ctrl-C, where nobody could end it
                connection.execute("ROLLBACK")
            if type(request) is Append and request.number <= MASK:
                return self._append(connection, values_of(request), may_wait)
            if type(request) is Append:
                request = request.as_commit()
            if type(request) is Commit and (row := appended(request)) is not None:
                return self._append(connection, row, may_wait)
            self._lock_file(connection, may_wait=may_wait)
            answer = WRITING[type(request)](connection.execute, request)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        if isinstance(request, Commit):
            for batch in request.batches:
                self._written += _PAGE * (len(batch.checkpoints) + len(batch.writes))
                self._written += sum(len(part.body) for part in batch.parts)
        if type(request) in FREEING:
            _shrink(connection)
        return answer

    def _append(
        self, connection: sqlite3.Connection, row: tuple[Any, ...], may_wait: bool
    ) -> list[bool]:
        """Add one row to a line, and say whether the line was as the writer knows it."""
        self._written += _PAGE
        try:
            done = connection.execute(APPEND, row)
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            done = self._patiently(lambda: connection.execute(APPEND, row), may_wait)
        return [done.rowcount == 1]

    def _lock_file(self, connection: sqlite3.Connection, *, may_wait: bool) -> None:
        """Begin a transaction, when whoever has begun one has ended it."""
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"), may_wait)

    def _patiently(self, action: Callable[[], ResultT], may_wait: bool = True) -> ResultT:
        """Do something when nobody has the file locked; it may be begun again at any place."""
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            if not may_wait:
                raise WouldWait from error
        end, pause = clock.SYSTEM.monotonic() + self._timeout, 0.0005
        while True:
            clock.SYSTEM.sleep(pause)
            pause = min(pause * 2, 0.02)
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not _is_locked(error):
                    raise
                if clock.SYSTEM.monotonic() > end:
                    raise self._named(error) from error

    def _named(self, error: sqlite3.OperationalError) -> sqlite3.OperationalError:
        """Return an error that says which file is locked."""
        named = sqlite3.OperationalError(
            f"{self.path} is locked: another process has been writing to it for {self._timeout} s"
        )
        for name in ("sqlite_errorcode", "sqlite_errorname"):  # not on CPython 3.10
            if hasattr(error, name):
                setattr(named, name, getattr(error, name))
        return named

    # -- connections -----------------------------------------------------------------------------

    @contextmanager
    def _reader(self, *, may_wait: bool = True) -> Iterator[sqlite3.Connection]:
        """Lend a connection, in a transaction: all that is read belongs together."""
        self._refuse_closed()
        if self.path == ":memory:":
            with self._lock:
                yield self._writing(may_wait=True)
            return
        try:
            connection = self._idle.pop()
        except IndexError:
            self._writing(may_wait=may_wait)
            connection = self._connect()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._discard(connection)
            raise
        if len(self._idle) >= _MOST_IDLE:
            self._discard(connection)
            return
        self._idle.append(connection)
        if self.is_closed:
            # Who has closed the journal may have been here before.
            self._let_go_of_idle()

    def _refuse_closed(self) -> None:
        if self.is_closed:
            raise JournalClosedError(f"The journal of {self.path!r} is closed")

    def _writing(self, *, may_wait: bool) -> sqlite3.Connection:
        """Return the connection that writes; the first call opens the file."""
        if self._writer is not None:
            return self._writer
        if not may_wait:
            raise WouldWait
        with self._lock:
            self._refuse_closed()
            if self._writer is None:
                self._writer = self._prepare()
            return self._writer

    def _prepare(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._patiently(lambda: self._set_up(connection))
        except BaseException:
            self._discard(connection)
            raise
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        """Make the tables if they are not there; may be begun again at any place."""
        # Before there are tables, or not at all.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if not is_prepared(connection):
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            try:
                connection.execute("BEGIN IMMEDIATE")
                prepare(connection, self.path)
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()

    def _connect(self) -> sqlite3.Connection:
        # It waits for nobody: `_patiently` does.
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._open.add(connection)
        return connection

    def _discard(self, connection: sqlite3.Connection) -> None:
        self._open.discard(connection)
        connection.close()

    def _leave_to_parent(self) -> None:
        """Begin anew in a process that was forked: connections cannot be shared with the other."""
        self._finalizer.detach()
        _INHERITED.append((self._writer, self._idle, self._open))
        self._begin()

    # -- the log ---------------------------------------------------------------------------------

    def _tidy(self) -> None:
        """Have the log written back, by somebody who may wait for the disk."""
        self._written = 0
        if self.path == ":memory:" or (self._tidying is not None and self._tidying.is_alive()):
            return
        self._tidying = threading.Thread(
            target=self._write_back, name="millstream-tidy", daemon=True
        )
        try:
            self._tidying.start()
        except RuntimeError:  # the interpreter is ending
            self._tidying = None

    def _write_back(self) -> None:
        with suppress(sqlite3.Error):
            connection = self._connect()
            try:
                # Most of it while others write; the rest while nobody does, so that it ends.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            finally:
                self._discard(connection)

    def close(self) -> None:
        """Close all connections, those in use when they are given back; twice does nothing."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        self.is_closed = True
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                self._discard(writer)
            self._let_go_of_idle()
        tidying = self._tidying
        if tidying is not None and tidying is not threading.current_thread():
            tidying.join()

    def _let_go_of_idle(self) -> None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self._discard(connection)

    async def aclose(self) -> None:
        """Close all connections without keeping the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)


def _is_locked(error: sqlite3.OperationalError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _LOCKED
    return "locked" in str(error)  # CPython 3.10


def _is_much(request: Request) -> bool:
    if isinstance(request, ReadParts):
        return sum(last - first + 1 for _, first, last in request.ranges) > _MANY
    if isinstance(request, ReadRows):
        return request.last - request.first > 8 * _MANY
    if isinstance(request, FindNewest):
        return len(request.lines) > _MANY
    return isinstance(request, FindLines) and request.thread_id is None


class SqliteJournal(Journal):
    """A journal in a SQLite file, ready at once: it is opened when it is first used.

    `synchronous="full"` waits for the disk with every commit, so that a power failure costs nothing
    that was confirmed. `timeout` is how many seconds to wait for another process that writes.
    `threads` is an executor in which async methods wait. Without, they use the event loop's own,
    where they wait for a thread when sync nodes have all of them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: Literal["error", "fork"] = "error",
        ttl: TTL | None = None,
        synchronous: Literal["normal", "full"] = "normal",
        timeout: float = 30.0,
        threads: Executor | None = None,
    ) -> None:
        storage = SqliteStorage(path, synchronous=synchronous, timeout=timeout, threads=threads)
        super().__init__(storage, serde=serde, on_conflict=on_conflict, ttl=ttl)
