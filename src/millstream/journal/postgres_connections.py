"""Connections to PostgreSQL that are kept for the next request; no thread sees to them.

Their address is what libpq takes, all its options included. It may have a password, so it is in no
error and no `repr`.
"""

from __future__ import annotations

import os
import re
import threading
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from millstream._base.addresses import shown

if TYPE_CHECKING:
    import psycopg


_PATIENCE: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
"""Unless an address says otherwise: that a network is gone is noticed in less than a minute. The
system's own keepalives take hours, and what waits for the server as long."""
_SIGNS: Final = {
    "keepalives_idle": "tcp_keepalives_idle",
    "keepalives_interval": "tcp_keepalives_interval",
    "keepalives_count": "tcp_keepalives_count",
    "tcp_user_timeout": "tcp_user_timeout",
}
"""What the server calls that by which a connection notices that its other end is gone."""

# A password in a URL ends at the first of these, whatever was meant: what is behind it is a host.
_CUT: Final = re.compile(r"\w+://[^/]*(@[^/]*|/[^?]*)@")


def import_psycopg() -> Any:
    """Return psycopg, or say how to install it."""
    try:
        import psycopg
    except ImportError as error:
        raise ImportError(
            "A journal in PostgreSQL needs psycopg: pip install 'millstream[postgres]'"
        ) from error
    return psycopg


def checked_address(address: str, silence: float | None = None) -> str:
    """Return the address of a database as it is connected to.

    A network from which there is no sign for the seconds of `silence` counts as gone; what the
    address itself says of that counts more.

    Raises:
        ValueError: It is none. What libpq would say of it shows parts of the password.
    """
    psycopg = import_psycopg()
    try:
        options = psycopg.conninfo.conninfo_to_dict(address)
    except psycopg.Error:
        raise ValueError(_refusal(address)) from None
    ports = str(options.get("port", "")).replace(",", "")
    if _CUT.match(address) or (ports and not ports.isdecimal()):
        raise ValueError(_refusal(address))
    patience = _PATIENCE if silence is None else _patience(silence)
    added = {name: value for name, value in patience.items() if name not in options}
    if "PGCONNECT_TIMEOUT" in os.environ:
        added.pop("connect_timeout", None)
    completed: str = psycopg.conninfo.make_conninfo(address, **added)
    return completed


def _patience(silence: float) -> dict[str, str]:
    # Signs are asked for after a third of it, and then so often that some may be lost.
    return {
        "connect_timeout": str(max(2, min(10, int(silence)))),
        "keepalives_idle": str(max(1, int(silence / 3))),
        "keepalives_interval": str(max(1, int(silence / 5))),
        "keepalives_count": "3",
        "tcp_user_timeout": str(int(silence * 1000)),
    }


def greeting(address: str) -> str:
    """Return what has the server, too, notice when a client is gone; empty if there is nothing.

    Its own keepalives take hours as well, and what the client has locked is locked as long. It is
    for a session that nobody shares.
    """
    options = import_psycopg().conninfo.conninfo_to_dict(address)
    if str(options.get("keepalives", "1")) == "0":
        return ""
    known = {_SIGNS[name]: options[name] for name in _SIGNS if options.get(name)}
    return "; ".join(f"SET {name} = {int(value)}" for name, value in known.items())


@contextmanager
def letting_go() -> Iterator[None]:
    """Let go of a connection that psycopg has begun to make and that took too long.

    Otherwise it is open until the collector comes by, and the server may have a session for it:
    one more with each attempt, where it is slow to make them.
    """
    try:
        yield
    except import_psycopg().errors.ConnectionTimeout as error:
        # It is in no error, but in a frame of psycopg's that the error refers to, and that to it.
        traceback.clear_frames(error.__traceback__)
        raise


def _refusal(address: str) -> str:
    is_readable = "://" in address and "@" in address
    what = repr(shown(address)) if is_readable else "What was given (it may have a password)"
    return (
        f"{what} is not the address of a PostgreSQL database: give "
        '"postgresql://user@host/database" or "host=... dbname=...". In a password in a URL write '
        "%40 for @, %2F for / and %25 for %"
    )


def _close_all(connections: set[psycopg.Connection[Any]]) -> None:
    for connection in tuple(connections):
        connection.close()
    connections.clear()


class Connections:
    """As much of `psycopg_pool.ConnectionPool` as a journal uses."""

    def __init__(self, address: str, most: int, timeout: float) -> None:
        self._psycopg = import_psycopg()
        self._address = address
        self._greeting = greeting(address)
        self._is_direct = False
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
            with letting_go():
                connection: psycopg.Connection[Any] = self._psycopg.connect(
                    self._address, autocommit=True, client_encoding="utf8"
                )
            self._open.add(connection)
            try:
                if self._is_direct:
                    self._greet(connection)
            except BaseException:
                self._discard(connection)
                raise
            return connection

    def know_server(self, connection: psycopg.Connection[Any]) -> None:
        """Take note that no pooler is in between, by whose sessions others go on; one is lent."""
        self._is_direct = True
        self._greet(connection)

    def _greet(self, connection: psycopg.Connection[Any]) -> None:
        if self._greeting:
            connection.execute(self._greeting, prepare=False)

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        session, status = connection.pgconn, self._psycopg.pq.TransactionStatus
        # Nor one in which answers of others may still come.
        is_idle = session.transaction_status == status.IDLE and not session.pipeline_status
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
