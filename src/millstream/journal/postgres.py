"""A journal in a PostgreSQL database.

A superstep is one statement, and one round trip. Nothing is kept in a session, so a pooler may give
each transaction another one; statements are prepared unless one is in between.

A connection may be lost while nobody knows whether the server has carried out what was asked. All
but one kind of requests may simply be sent again, because a commit that was carried out moved the
counter of its line: see `postgres_rows.ONCE`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from langgraph.checkpoint.serde.base import SerializerProtocol

from millstream._base.patience import Patience
from millstream.journal.guards import Guard
from millstream.journal.lanes import LoopLane, SharedLane
from millstream.journal.postgres_connections import (
    Connections,
    checked_address,
    import_psycopg,
)
from millstream.journal.postgres_direct import Direct
from millstream.journal.postgres_rows import ONCE, STEPS, is_long
from millstream.journal.postgres_schema import (
    MIGRATIONS,
    Statement,
    Steps,
    find_version,
    in_schema,
    migrate,
    refuse_newer,
)
from millstream.journal.rows import Commit, Request
from millstream.journal.saver import Journal
from millstream.journal.storage import JournalClosedError, Lane, WouldWait
from millstream.journal.threads import Threads
from millstream.journal.ttl import TTL

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

_INTERVAL: Final = 1.0
"""Seconds after which an event loop looks whether it has missed that a connection is ready."""
_TRIES: Final = 4
"""How often a request is sent when the server or the connection fails in a way that passes."""
_UNREACHABLE: Final = ("08", "57P", "53300")
"""How the codes of errors begin that are about the server and not about what was asked."""
_INHERITED: Final[list[Any]] = []
"""Connections of the process that this one was forked from: neither used nor closed here."""


class PostgresStorage:
    """Keeps rows in a schema of a database."""

    def __init__(
        self,
        where: str | ConnectionPool[Any],
        *,
        schema: str = "millstream",
        max_connections: int = 8,
        timeout: float = 30.0,
        prepare: bool | None = None,
        patience: float = 0,
        threads: Executor | None = None,
    ) -> None:
        if not schema or "\0" in schema:
            raise ValueError(f"schema is the name of a schema, not {schema!r}")
        self._psycopg = import_psycopg()
        if not isinstance(where, str) and not hasattr(where, "getconn"):
            raise TypeError(
                f"A journal in PostgreSQL takes the address of a database or a pool of "
                f"psycopg_pool, not an object of type {type(where).__name__}"
            )
        self._where = checked_address(where) if isinstance(where, str) else where
        self._schema = schema
        self._max_connections = max_connections
        self._timeout = timeout
        self._wants_prepared = prepare
        self._patience = patience
        self._threads = Threads(threads)
        self.is_closed = False
        self._is_ready = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        """Guards opening."""
        self._pool: Connections | ConnectionPool[Any] | None = None
        self._prepares = bool(self._wants_prepared)
        self._direct = Direct()

    # -- requests --------------------------------------------------------------------------------

    def carry_out(self, request: Request, *, may_wait: bool = True) -> Any:
        """Return the answer; raise `WouldWait` if waiting is not wanted, for the server is far."""
        if not may_wait:
            raise WouldWait
        left = _TRIES
        patience = Patience(self._patience)
        while True:
            left -= 1
            is_broken = is_sent = False
            try:
                pool = self._opened()
                with pool.connection() as connection:
                    is_sent = True
                    try:
                        return self._send(connection, STEPS[type(request)](request), request)
                    finally:
                        is_broken = connection.closed
            except self._psycopg.Error as error:
                is_again = left > 0 and self._may_send_again(request, error, is_broken)
                is_passing = self.is_general(error) and not (is_sent and type(request) in ONCE)
                if not is_again and not (is_passing and not self.is_closed and patience.wait()):
                    raise
            if is_broken:
                # Others were lost with it, as a rule.
                pool.check()

    async def acarry_out(self, request: Request) -> Any:
        """Return the answer, through a thread."""
        return await self._threads.call(self.carry_out, request)

    def is_awaitable(self) -> bool:
        """Say whether there is a connection that nobody uses, and event loops can wait for."""
        pool = self._pool
        is_open = isinstance(pool, Connections) and pool.has_idle and not self.is_closed
        # There are event loops on Windows that wait for no sockets.
        return is_open and self._pid == os.getpid() and sys.platform != "win32"

    async def await_commit(self, request: Commit) -> list[bool] | None:
        """Carry it out while the event loop waits for the connection.

        A thread that does so costs more than all else of a superstep.
        """
        pool, wait = self._pool, self._psycopg.waiting.wait_async
        if not isinstance(pool, Connections):
            return None
        with pool.idle_connection() as connection:
            if connection is None:
                return None
            statements = next(STEPS[Commit](request))
            counting = self._counting(connection, statements)
            if counting is None:
                return None
            try:
                # Without an interval it would look all the time.
                return [await wait(counting, connection.pgconn.socket, _INTERVAL) == 1]
            except self._psycopg.Error:
                return None  # whoever asks again meets it again

    def is_general(self, error: Exception) -> bool:
        """Say whether the server cannot be reached, or lets nobody in."""
        if not isinstance(error, self._psycopg.OperationalError):
            return False
        state = getattr(error, "sqlstate", None)
        return state is None or state.startswith(_UNREACHABLE)

    def make_lane(self) -> Lane:
        """Return one lane for all, so that whoever waits for it shares the next round trip."""
        return SharedLane(self, always_waits=True, threads=self._threads)

    def _may_send_again(self, request: Request, error: Exception, is_broken: bool) -> bool:
        errors = self._psycopg.errors
        if isinstance(error, (errors.SerializationFailure, errors.DeadlockDetected)):
            return True
        if self._prepares and isinstance(
            error, (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement)
        ):
            self._prepares = False  # a pooler that did not look like one
            return True
        return is_broken and type(request) not in ONCE

    def _send(
        self, connection: psycopg.Connection[Any], steps: Steps[Any], request: Request
    ) -> Any:
        own = connection.autocommit
        if not own:
            connection.autocommit = True
        try:
            if not is_long(request):
                return self._carry(connection, steps)
            with self._pipeline(connection), connection.transaction():
                return self._carry(connection, steps)
        finally:
            if not own and not connection.closed:
                connection.autocommit = False

    def _carry(self, connection: psycopg.Connection[Any], steps: Steps[Any]) -> Any:
        """Carry out what steps ask for; either the connection commits by itself, or the caller."""
        row_factory = self._psycopg.rows.tuple_row
        prepares, schema = self._prepares, self._schema
        answer: Any = None
        try:
            while True:
                cursors = []
                statements = steps.send(answer)
                if (counting := self._counting(connection, statements)) is not None:
                    answer = [[()] * connection.wait(counting)]
                    continue
                for statement in statements:
                    cursor = connection.cursor(row_factory=row_factory, binary=True)
                    query = in_schema(statement.text, schema)
                    cursor.execute(query, statement.values, prepare=prepares)
                    cursors.append(cursor)
                answer = [
                    cursor.fetchall() if statement.has_rows else []
                    for statement, cursor in zip(statements, cursors, strict=True)
                ]
        except StopIteration as end:
            return end.value

    def _counting(
        self, connection: psycopg.BaseConnection[Any], statements: Sequence[Statement]
    ) -> Generator[Any, Any, int] | None:
        """Return what counts the rows of a statement that is sent alone, if no more is asked."""
        if len(statements) != 1 or connection.pgconn.pipeline_status:
            return None
        [statement] = statements
        if (formats := statement.formats) is None:
            return None
        query = in_schema(statement.text, self._schema)
        return self._direct.count_rows(
            connection, query, statement.values, formats, prepares=self._prepares
        )

    def _pipeline(self, connection: Any) -> Any:
        return connection.pipeline() if self._psycopg.Pipeline.is_supported() else nullcontext()

    # -- connections -----------------------------------------------------------------------------

    def _opened(self) -> Connections | ConnectionPool[Any]:
        """Return the connections; the first call sees to the tables."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        pool = self._pool
        if self.is_closed:
            raise JournalClosedError("The journal in PostgreSQL is closed")
        if pool is not None:
            return pool
        with self._lock:
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _open(self) -> Connections | ConnectionPool[Any]:
        pool: Connections | ConnectionPool[Any]
        if isinstance(self._where, str):
            pool = Connections(self._where, self._max_connections, self._timeout)
        else:
            pool = self._where
        try:
            with pool.connection() as connection:
                is_direct = self._see_to_tables(connection)
                if is_direct and isinstance(pool, Connections):
                    pool.know_server(connection)
        except BaseException:
            if isinstance(pool, Connections):
                pool.close()
            raise
        return pool

    def _leave_to_parent(self) -> None:
        """Begin anew in a process that was forked: connections cannot be shared with the other."""
        if isinstance(self._pool, Connections):
            self._pool.leave_to_parent()
        _INHERITED.append(self._pool)
        self._begin()

    def _see_to_tables(self, connection: psycopg.Connection[Any]) -> bool:
        """See to the tables; return whether no pooler is in between."""
        own = connection.autocommit
        if not own:
            connection.autocommit = True
        try:
            place = self._place(connection)
            found, pid = self._carry(connection, find_version(self._schema))
            refuse_newer(found, place)
            if found < len(MIGRATIONS):
                with connection.transaction():
                    self._carry(connection, migrate(self._schema, place))
        finally:
            if not own and not connection.closed:
                connection.autocommit = False
        return self._note_server(connection, pid)

    def _place(self, connection: psycopg.BaseConnection[Any]) -> str:
        return f"Schema {self._schema!r} of database {connection.info.dbname!r}"

    def _note_server(self, connection: psycopg.BaseConnection[Any], pid: int) -> bool:
        # A pooler shows a process of its own. Statements that are prepared through it may be
        # somebody else's, of the same name.
        is_direct: bool = pid == connection.info.backend_pid
        if self._wants_prepared is None:
            self._prepares = is_direct
        return is_direct

    def close(self) -> None:
        """Close the connections, but for those that were given; calling it again does nothing."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        self.is_closed = True
        with self._lock:
            pool, self._pool = self._pool, None
        if isinstance(pool, Connections):
            pool.close()

    async def aclose(self) -> None:
        """Close the connections without keeping the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)


class LoopStorage(PostgresStorage):
    """Keeps rows through an `AsyncConnectionPool`, in the event loop that it belongs to."""

    def carry_out(self, request: Request, *, may_wait: bool = True) -> NoReturn:
        """Say what is missing."""
        raise TypeError(
            "This journal was given an AsyncConnectionPool, and has only async methods: give it "
            "the address of the database, or a ConnectionPool, to use both"
        )

    async def acarry_out(self, request: Request) -> Any:
        """Return the answer."""
        pool: AsyncConnectionPool[Any] = self._where  # type: ignore[assignment]  # see above
        left = _TRIES
        while True:
            left -= 1
            if self.is_closed:
                raise JournalClosedError("The journal in PostgreSQL is closed")
            is_broken = False
            try:
                async with pool.connection() as connection:
                    try:
                        return await self._asend(connection, request)
                    finally:
                        is_broken = connection.closed
            except self._psycopg.Error as error:
                if not left or not self._may_send_again(request, error, is_broken):
                    raise
            if is_broken:
                await pool.check()

    def make_lane(self) -> Lane:
        """Return one lane for the event loop."""
        return LoopLane(self)

    async def _asend(self, connection: psycopg.AsyncConnection[Any], request: Request) -> Any:
        own = connection.autocommit
        if not own:
            await connection.set_autocommit(True)
        try:
            if not self._is_ready:
                await self._asee_to_tables(connection)
            steps = STEPS[type(request)](request)
            if not is_long(request):
                return await self._acarry(connection, steps)
            async with self._pipeline(connection), connection.transaction():
                return await self._acarry(connection, steps)
        finally:
            if not own and not connection.closed:
                await connection.set_autocommit(False)

    async def _acarry(self, connection: psycopg.AsyncConnection[Any], steps: Steps[Any]) -> Any:
        """Carry out what steps ask for; either the connection commits by itself, or the caller."""
        row_factory = self._psycopg.rows.tuple_row
        answer: Any = None
        try:
            while True:
                cursors = []
                statements = steps.send(answer)
                if (counting := self._counting(connection, statements)) is not None:
                    answer = [[()] * await connection.wait(counting)]
                    continue
                for statement in statements:
                    cursor = connection.cursor(row_factory=row_factory, binary=True)
                    query = in_schema(statement.text, self._schema)
                    await cursor.execute(query, statement.values, prepare=self._prepares)
                    cursors.append(cursor)
                answer = [
                    await cursor.fetchall() if statement.has_rows else []
                    for statement, cursor in zip(statements, cursors, strict=True)
                ]
        except StopIteration as end:
            return end.value

    async def _asee_to_tables(self, connection: psycopg.AsyncConnection[Any]) -> None:
        # Twice at once does no harm.
        place = self._place(connection)
        found, pid = await self._acarry(connection, find_version(self._schema))
        refuse_newer(found, place)
        if found < len(MIGRATIONS):
            async with connection.transaction():
                await self._acarry(connection, migrate(self._schema, place))
        self._note_server(connection, pid)
        self._is_ready = True


class PostgresJournal(Journal):
    """A journal in a PostgreSQL database, ready at once: it connects when it is first used.

    `where` is the address of the database, or a pool, which is used and not closed; with an
    `AsyncConnectionPool` there are only async methods, in its event loop. The tables are in a
    schema of their own. `prepare` says whether statements are prepared; None finds out whether a
    pooler such as PgBouncer is in between, and does without if so. `patience` is for how many
    seconds a server is waited for that cannot be reached; async pools do not wait. `guard` says who
    may store, where another process may have taken over. `threads` is an executor in which async
    methods wait. Without, they use the event loop's own, where they wait for a thread when sync
    nodes have all of them.
    """

    def __init__(
        self,
        where: str | ConnectionPool[Any] | AsyncConnectionPool[Any],
        *,
        serde: SerializerProtocol | None = None,
        on_conflict: Literal["error", "fork"] = "error",
        ttl: TTL | None = None,
        schema: str = "millstream",
        max_connections: int = 8,
        timeout: float = 30.0,
        prepare: bool | None = None,
        patience: float = 0,
        guard: Guard | None = None,
        threads: Executor | None = None,
    ) -> None:
        is_async = iscoroutinefunction(getattr(where, "getconn", None))
        if is_async and ttl is not None and ttl.get("sweep_interval_minutes") is not None:
            raise ValueError(
                "A journal that was given an AsyncConnectionPool cannot sweep in a thread: leave "
                "sweep_interval_minutes out, and call asweep_ttl() in its event loop"
            )
        storage = (LoopStorage if is_async else PostgresStorage)(
            where,  # type: ignore[arg-type]  # the kind that it takes
            schema=schema,
            max_connections=max_connections,
            timeout=timeout,
            prepare=prepare,
            patience=patience,
            threads=threads,
        )
        super().__init__(storage, serde=serde, on_conflict=on_conflict, ttl=ttl, guard=guard)
