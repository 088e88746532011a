"""One server for each database in PostgreSQL, as `ownership` has it for files.

The server of the database knows who owns it: the lock is a connection's, and goes with it.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from millstream.server.errors import ConfigError
from millstream.server.storage.ownership import InUseError
from millstream.server.storage.postgres_engine import Address, import_psycopg

logger = logging.getLogger("millstream.server")

KEY: Final = (0x6D696C6C, 1)
"""The lock: of two numbers, which nobody else's are by chance."""
_PAUSE: Final = 1.0
"""Seconds between two tries to have it back."""
_SHORT_PAUSE: Final = 0.05
_END: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pid = %s AND locktype = 'advisory'
    AND (classid, objid, objsubid) = (%s, %s, 2)
"""


@contextmanager
def owning_postgres(
    address: Address, on_lost: Callable[[], object] = lambda: None, *, patience: float = 2.0
) -> Iterator[None]:
    """Own a database until the block ends; `ConfigError` if another server does.

    A connection that is lost is made anew, and the database owned again; `on_lost` is called, in
    another thread, if another server has come before. The connection of a server which has died a
    moment ago may be there for another one, for which `patience` is.
    """
    psycopg = import_psycopg()
    try:
        owner = _Owner(address, on_lost, patience)
    except psycopg.Error as error:
        raise ConfigError(f"the database {address} cannot be used: {error}") from None
    try:
        yield
    finally:
        owner.close()


class _Owner:
    """Holds the lock, and has it back when the connection was lost."""

    def __init__(self, address: Address, on_lost: Callable[[], object], patience: float) -> None:
        self._address = address
        self._on_lost = on_lost
        self._connection = self._own(patience)
        self._wake, self._woken = socket.socketpair()
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="millstream-owner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go."""
        self._is_ending.set()
        self._wake.close()
        self._thread.join()
        self._woken.close()
        self._connection.close()

    def _own(self, patience: float = 0, former: int | None = None) -> Any:
        """Return a connection with the lock; the server may not know of the end of a former one."""
        until = time.monotonic() + patience
        connection = self._address.connect()
        try:
            [process] = connection.execute("SELECT pg_backend_pid()").fetchone()
            if process != connection.info.backend_pid:
                raise ConfigError(
                    f"the database {self._address} is behind a pooler, and who owns it cannot be "
                    "told there: give the address of the server itself"
                )
            while not _lock(connection):
                if former is not None:
                    connection.execute(_END, [former, *KEY])
                    former = None
                if time.monotonic() < until:
                    time.sleep(_SHORT_PAUSE)
                    continue
                raise InUseError(
                    f"the database {self._address} is in use by another server"
                    f"{_other(connection)}: end that one, or name another database with --database"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _watch(self) -> None:
        psycopg = import_psycopg()
        is_mine = True
        while is_mine and not self._is_ending.is_set():
            try:
                # Nothing comes while all is well.
                select.select([self._connection.fileno(), self._woken], [], [])
                if not self._is_ending.is_set():
                    self._connection.execute("SELECT 1")
            except psycopg.Error:  # noqa: PERF203
                is_mine = self._have_back()

    def _have_back(self) -> bool:
        """Own the database again, if nobody else does."""
        psycopg = import_psycopg()
        former = self._connection.info.backend_pid
        self._connection.close()
        while not self._is_ending.is_set():
            try:
                self._connection = self._own(_PAUSE, former)
                return True
            except ConfigError as error:
                logger.critical("nothing is run here any more: %s", error)
                self._on_lost()
                return False
            except psycopg.Error:
                pass
            self._is_ending.wait(_PAUSE)
        return False


def _lock(connection: Any) -> bool:
    [is_mine] = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", KEY).fetchone()
    return bool(is_mine)


def _other(connection: Any) -> str:
    """Return who has the lock, as far as one may know."""
    query = """
        SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND (classid, objid, objsubid) = (%s, %s, 2)
          AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
    row = connection.execute(query, KEY).fetchone()
    return f" ({row[0]})" if row is not None and row[0] else ""
