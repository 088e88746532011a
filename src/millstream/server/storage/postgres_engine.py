"""Connections to PostgreSQL, for SQLAlchemy and for the statements that go past it.

Nothing is kept in a session, so that a pooler may give each transaction another one: the schema is
named where a transaction begins. A text may have any character, though PostgreSQL's has no NUL:
one is sent as two others, and so are those of these two that begin it (`nul`).
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError

from millstream.journal.postgres_connections import checked_address, greeting, letting_go
from millstream.server.clock import Clock
from millstream.server.errors import ConfigError
from millstream.server.storage.nul import hidden, shown
from millstream.server.storage.prepared import told
from millstream.server.storage.times import TOLD

SCHEMA: Final = "millstream"
"""Where the tables are, beside those of the journal."""
WRITES: Final = "millstream_writes"
"""The option of a connection whose transactions write."""
TRANSACTION: Final = "millstream_transaction"
"""Where a connection notes which transaction it has begun."""
_IDLE: Final = "SET LOCAL idle_in_transaction_session_timeout = '10s'"
LEASE: Final = 30.0
"""Seconds after which a server that shows no sign of life is taken for dead, unless others are
said."""
_LOOKED_FOR: Final = "1 s"
"""How often the server looks whether somebody still waits for what takes it long."""
_PREPARED_AFTER: Final = 5
"""How often a statement is sent before the server is told to keep it."""


def import_psycopg() -> Any:
    """Return psycopg; `ConfigError` that says how to install it."""
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            f"a database in PostgreSQL needs {error.name}, which is not installed; "
            "pip install 'millstream[server,postgres]'"
        ) from error
    return psycopg


def within_lease(text: str, lease: float) -> str:
    """Return the address of a database that is noticed to be gone well before a lease is over."""
    import_psycopg()
    try:
        return checked_address(text, lease / 2)
    except ValueError:
        # Words about what is in the wrong place may have the password in them.
        raise ConfigError(
            "database is no address of PostgreSQL: write it as "
            "postgresql://user:password@host:5432/name?sslmode=require, with what is special "
            "in it as %-codes (`@` is %40, `/` is %2F)"
        ) from None


class Address:
    """The address of a database; what it says of a password is shown to nobody."""

    def __init__(self, text: str, lease: float = LEASE) -> None:
        self._text = within_lease(text, lease)
        self._known = import_psycopg().conninfo.conninfo_to_dict(self._text)

    def __repr__(self) -> str:
        host = self._known.get("host") or self._known.get("service") or ""
        port = f":{self._known['port']}" if self._known.get("port") else ""
        return f"postgresql://{host}{port}/{self._known.get('dbname') or ''}"

    def connect(self, **options: Any) -> Any:
        """Return a connection that commits by itself."""
        psycopg = import_psycopg()
        name = f"millstream {socket.gethostname()} {os.getpid()}"
        named = {"application_name": name, **options}
        with letting_go():
            return psycopg.connect(self._text, **named, autocommit=True, client_encoding="utf8")

    @property
    def greeting(self) -> str:
        """What has the server notice when a client is gone that has a session alone."""
        return greeting(self._text)


def make_engine(address: Address, schema: str, size: int, clock: Clock | None = None) -> Engine:
    """Return an engine whose connections end where it says so, not where they are lent."""
    told_to = clock or Clock()
    quoted = '"{}"'.format(schema.replace('"', '""'))
    place = f"SET LOCAL search_path = {quoted}"
    # Whatever a database has as its default. What a process has locked that was stopped is free
    # again before its lease is over.
    begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; {place}; {_IDLE}"
    told_too = "SELECT pg_current_xact_id()::text, extract(epoch FROM clock_timestamp())::float8"
    writing = f"{begin}; {told_too}"
    reading = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {place}"
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _prepared(address),
        pool_size=size,
        max_overflow=0,
        use_native_hstore=False,
        # What clients have sent is not for the log, which has what went wrong.
        hide_parameters=True,
    )

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, *_: object) -> None:
        if _is_readable(connection.fileno()):
            # Nobody has asked anything: the server has ended it, and others with it.
            raise InvalidatePoolError

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get(WRITES)
        text = writing if is_writing else reading
        driver: Any = connection.connection
        connection.info.pop(TOLD, None)
        asked_at = told_to.steady()
        with driver.cursor() as cursor:
            try:
                # All of it in one message, which cannot be prepared.
                cursor.execute(text, prepare=False)
            except Exception as error:
                raise told(error, text, connection.dialect) from error
            if is_writing:
                while cursor.nextset():
                    pass
                connection.info[TRANSACTION], connection.info[TOLD] = cursor.fetchone()
                told_to.note(connection.info[TOLD], asked_at)

    return engine


def _is_readable(file: int) -> bool:
    if not hasattr(select, "poll"):  # on Windows
        return bool(select.select([file], [], [], 0)[0])
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(0))


def _prepared(address: Address) -> Any:
    """Return a connection that has values as the tables mean them."""
    psycopg = import_psycopg()
    connection = address.connect()
    sent, received = _adapters()
    connection.adapters.register_dumper(str, sent)
    for name in ("text", "varchar"):
        connection.adapters.register_loader(name, received)
    for name in ("json", "jsonb"):
        # Whoever needs more of it than the text reads it.
        connection.adapters.register_loader(name, psycopg.types.string.TextLoader)
    # Statements that are prepared through a pooler may be somebody else's, of the same name.
    connection.prepare_threshold = None
    if is_direct(connection):
        connection.prepare_threshold = _PREPARED_AFTER
        if address.greeting:
            connection.execute(address.greeting, prepare=False)
    return connection


def is_direct(connection: Any) -> bool:
    """Say whether there is no pooler in between, which shows a process of its own."""
    with connection.cursor() as cursor:
        [process] = cursor.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return bool(process == connection.info.backend_pid)


def let_take_long(connection: Any, patience: float) -> None:
    """Let a statement take long, but for locks, and end with the process that wants it.

    Through a pooler the session is somebody else's later: then it is left as it is.
    """
    if not is_direct(connection):
        return
    connection.execute("SET statement_timeout = 0")
    connection.execute(f"SET lock_timeout = '{patience:g} s'")
    # Before PostgreSQL 14, and where systems cannot tell, it goes on for nobody.
    with suppress(import_psycopg().Error):
        connection.execute(f"SET client_connection_check_interval = '{_LOOKED_FOR}'")


@lru_cache(maxsize=1)
def _adapters() -> tuple[type[Any], type[Any]]:
    """Return what sends texts, and what receives them."""
    import_psycopg()
    from psycopg.types.string import StrDumperUnknown, TextLoader

    class Texts(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(hidden(obj))

    class ShownTexts(TextLoader):
        def load(self, data: Any) -> str:
            return shown(str(super().load(data)))

    return Texts, ShownTexts
