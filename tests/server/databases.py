"""Databases of tests: in a file, or in PostgreSQL."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from millstream.server.storage import migrations
from millstream.server.storage.sqlite import SqliteDatabase

SERVER: Final = "MILLSTREAM_TEST_POSTGRES"
KIND: Final = "MILLSTREAM_SERVER_DATABASE"
_LANGUAGE: Final = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
"""Texts are sorted as a language has it, and not by their characters, as far as servers can."""
_SETTINGS: Final = {
    "timezone": "Asia/Kolkata",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "0",
    "default_transaction_isolation": "serializable",
}
"""What others may have set for the whole database: nothing depends on it."""


@contextmanager
def new_postgres() -> Iterator[str]:
    """Give the address of a database in PostgreSQL that has a server's tables and odd defaults."""
    with _made(_server(), f"TEMPLATE {_first(_server())}") as address:
        yield address


@contextmanager
def empty_postgres() -> Iterator[str]:
    """Give the address of a database in PostgreSQL that has nothing in it, but odd defaults."""
    server = _server()
    with _made(server, _language(server)) as address:
        yield address


@contextmanager
def _made(server: str, how: str) -> Iterator[str]:
    import psycopg

    name = f"millstream_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {how}")
        for setting, value in _SETTINGS.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} TO {value!r}")
    yield f"{server.rpartition('/')[0]}/{name}"
    # Fails when a test has left a connection open.
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}")


def _server() -> str:
    server = os.environ.get(SERVER)
    if not server:
        pytest.skip("no PostgreSQL server: scripts/services.sh run -- pytest starts one")
    return server


@functools.cache
def _language(server: str) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        has_language = (
            connection.info.server_version >= 150000
            and connection.execute("SELECT 1 FROM pg_collation WHERE collprovider = 'i'").fetchone()
        )
    return _LANGUAGE if has_language else ""


@functools.cache
def _first(server: str) -> str:
    """Return the name of a database that new ones are copies of.

    To make the tables takes ten times as long.
    """
    from millstream.server.storage.postgres import PostgresDatabase
    from millstream.server.storage.postgres_engine import Address

    address = _ALL.enter_context(empty_postgres())
    PostgresDatabase(Address(address)).close()
    return address.rpartition("/")[2]


def of_directory(directory: Path, *, is_empty: bool = False) -> str | None:
    """Return the database of the servers of a directory, None if it is a file.

    It is made for the first of them. With MILLSTREAM_SERVER_DATABASE=postgres all tests that make
    servers run on PostgreSQL, but for those with the fixture `in_files`.
    """
    if os.environ.get(KIND) != "postgres":
        return None
    # Noted there, because directories are renamed.
    note = directory / ".millstream" / "postgres"
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(_ALL.enter_context(empty_postgres() if is_empty else new_postgres()))
    return note.read_text()


def begin_with_tables(file: Path) -> None:
    """Have a database that is to be in a file begin with the tables, unless the file is there.

    To make them takes as long as all the rest of a server's start.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_first_file())


@functools.cache
def _first_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "server.db")
        SqliteDatabase(file).close()
        return file.read_bytes()


def copy_postgres(source: Path, target: Path) -> None:
    """Have the servers of a directory begin with what another one's have in their database now."""
    known, made = of_directory(source), of_directory(target, is_empty=True)
    assert known is not None
    assert made is not None
    dumped = subprocess.run(["pg_dump", known], stdout=subprocess.PIPE, check=True)
    psql = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", made]
    subprocess.run(psql, input=dumped.stdout, stdout=subprocess.DEVNULL, check=True)


_ALL: Final = ExitStack()
atexit.register(_ALL.close)


def make_tables_at(address: str, step: str) -> None:
    """Make the tables in PostgreSQL as a version had them that knew no more than some steps."""
    from millstream.server.storage.postgres_engine import SCHEMA, WRITES, Address, make_engine

    engine = make_engine(Address(address), SCHEMA, 1)
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        migrations.take(connection, "test", step)
    engine.dispose()
