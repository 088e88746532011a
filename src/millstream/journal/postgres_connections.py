"""Connections to PostgreSQL that are kept for the next request; no thread sees to them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


def import_psycopg() -> Any:
    """Return psycopg, or say how to install it."""
    try:
        import psycopg
    except ImportError as error:
        raise ImportError(
            "A journal in PostgreSQL needs psycopg: pip install 'millstream[postgres]'"
        ) from error
    return psycopg


def _close_all(connections: set[psycopg.Connection[Any]]) -> None:
    for connection in tuple(connections):
        connection.close()
    connections.clear()


class Connections:
    """As much of `psycopg_pool.ConnectionPool` as a journal uses."""

    def __init__(self, address: str, most: int, timeout: float) -> None:
        self._psycopg = import_psycopg()
        self._address = address
        self._most = most
        self._timeout = timeout
        self._free = threading.BoundedSemaphore(most)
        self._idle: list[psycopg.Connection[Any]] = []
        self._open: set[psycopg.Connection[Any]] = set()
        self._is_closed = False
        self._finalizer = weakref.finalize(self, _close_all, self._open)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection that commits by itself."""
        if not self._free.acquire(timeout=self._timeout):
            raise self._psycopg.OperationalError(
                f"None of {self._most} connections was free for {self._timeout} s: give the "
                f"journal more of them (max_connections), or find out what they wait for"
            )
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    @property
    def has_idle(self) -> bool:
        """Whether there is one that nobody uses."""
        return bool(self._idle)

    @contextmanager
    def idle_connection(self) -> Iterator[psycopg.Connection[Any] | None]:
        """Lend one that is there and that nobody uses, None if there is none."""
        if not self._free.acquire(blocking=False):
            yield None
            return
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                yield None
                return
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def _take(self) -> psycopg.Connection[Any]:
        try:
            return self._idle.pop()
        except IndexError:
            connection: psycopg.Connection[Any] = self._psycopg.connect(
                self._address, autocommit=True, client_encoding="utf8"
            )
            self._open.add(connection)
            return connection

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        is_idle = connection.pgconn.transaction_status == self._psycopg.pq.TransactionStatus.IDLE
        if is_idle and not self._is_closed:
            self._idle.append(connection)
        else:
            self._discard(connection)

    def _discard(self, connection: psycopg.Connection[Any]) -> None:
        self._open.discard(connection)
        connection.close()

    def check(self) -> None:
        """Let go of all that are not in use: one was lost, and others with it as a rule."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self._discard(connection)

    def close(self) -> None:
        """Close all connections, those in use when they are given back."""
        self._is_closed = True
        self.check()

    def leave_to_parent(self) -> None:
        """Do not close connections in a process that was forked."""
        self._finalizer.detach()
