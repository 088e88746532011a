"""Savers that rows compare, each opened where nothing is stored yet and gone when it is closed.

How long a disk takes is nobody's cost, so no commit waits for one, unless a saver is `SYNCED`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import aiosqlite
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from millstream.journal import PostgresJournal, SqliteJournal

SERVER: Final = os.environ.get("MILLSTREAM_TEST_POSTGRES", "")
"""The address of a database server, as `scripts/services.sh` starts one; empty without one."""
NO_SERVER: Final = "no PostgreSQL server"
_UNSYNCED: Final = "PRAGMA synchronous=OFF"


@dataclass(frozen=True, slots=True)
class Saver:
    """One kind of saver, with its twin for async runs."""

    name: str
    open: Callable[[], AbstractContextManager[Any]]
    aopen: Callable[[], AbstractAsyncContextManager[Any]]


@contextmanager
def _file() -> Iterator[str]:
    with TemporaryDirectory() as folder:
        yield str(Path(folder, "saved.db"))


def _sqlite(name: str, *, is_synced: bool) -> Saver:
    @contextmanager
    def opened() -> Iterator[Any]:
        with _file() as path, SqliteSaver.from_conn_string(path) as saver:
            if not is_synced:
                saver.conn.execute(_UNSYNCED)
            yield saver

    @asynccontextmanager
    async def aopened() -> AsyncIterator[Any]:
        with _file() as path:
            async with aiosqlite.connect(path) as connection:
                if not is_synced:
                    await connection.execute(_UNSYNCED)
                yield AsyncSqliteSaver(connection)

    return Saver(name, opened, aopened)


def _sqlite_journal(name: str, *, is_synced: bool) -> Saver:
    synchronous: Any = "full" if is_synced else "normal"

    @contextmanager
    def opened() -> Iterator[Any]:
        with _file() as path, SqliteJournal(path, synchronous=synchronous) as saver:
            yield saver

    @asynccontextmanager
    async def aopened() -> AsyncIterator[Any]:
        with _file() as path:
            async with SqliteJournal(path, synchronous=synchronous) as saver:
                yield saver

    return Saver(name, opened, aopened)


@contextmanager
def _schema() -> Iterator[str]:
    """Give a schema of the database."""
    import psycopg

    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield name
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def _in_schema(name: str) -> str:
    from psycopg import conninfo

    return conninfo.make_conninfo(SERVER, options=f"-c search_path={name}")


def _postgres() -> Saver:
    @contextmanager
    def opened() -> Iterator[Any]:
        from langgraph.checkpoint.postgres import PostgresSaver

        with _schema() as name, PostgresSaver.from_conn_string(_in_schema(name)) as saver:
            saver.setup()
            yield saver

    @asynccontextmanager
    async def aopened() -> AsyncIterator[Any]:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

        with _schema() as name:
            async with AsyncPostgresSaver.from_conn_string(_in_schema(name)) as saver:
                await saver.setup()
                yield saver

    return Saver("PostgresSaver", opened, aopened)


def _postgres_journal() -> Saver:
    @contextmanager
    def opened() -> Iterator[Any]:
        with _schema() as name, PostgresJournal(SERVER, schema=name) as saver:
            yield saver

    @asynccontextmanager
    async def aopened() -> AsyncIterator[Any]:
        with _schema() as name:
            async with PostgresJournal(SERVER, schema=name) as saver:
                yield saver

    return Saver("PostgresJournal", opened, aopened)


SQLITE: Final = _sqlite("SqliteSaver", is_synced=False)
SQLITE_SYNCED: Final = _sqlite("SqliteSaver waiting for the disk", is_synced=True)
SQLITE_JOURNAL: Final = _sqlite_journal("SqliteJournal", is_synced=False)
SQLITE_JOURNAL_SYNCED: Final = _sqlite_journal("SqliteJournal waiting for the disk", is_synced=True)
POSTGRES: Final = _postgres()
POSTGRES_JOURNAL: Final = _postgres_journal()
