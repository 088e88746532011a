"""One server for all tests of a module that leave nothing behind that others would notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream.server.replicas import lease
from millstream.server.storage.database import Database
from millstream.server.storage.sqlite import SqliteDatabase
from server.databases import KIND, begin_with_tables, empty_postgres, new_postgres
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

# What a page shows while words come depends on how soon a browser draws: `make test-browser` has
# the machine to itself.
collect_ignore = [] if os.environ.get("MILLSTREAM_BROWSER") else ["test_browser.py"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with the recorded graphs; use threads of your own."""
    config = config_of(make_graphs(), tmp_path_factory.mktemp("server"))
    with running(config) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody waited for whose connection is lost: the tests' database may be new."""
    monkeypatch.setattr(lease, "FRESH", 0.0)
    monkeypatch.setattr(lease, "MISSED", 0.5)
    monkeypatch.setattr(lease, "BEAT", 0.2)


@pytest.fixture
def in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the servers of a test keep everything in files, because it is about these."""
    monkeypatch.delenv(KIND, raising=False)


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give a database of its own, of either kind."""
    if request.param == "sqlite":
        begin_with_tables(tmp_path / "server.db")
        database: Database = SqliteDatabase(tmp_path / "server.db")
    else:
        from millstream.server.storage.postgres import PostgresDatabase
        from millstream.server.storage.postgres_engine import Address

        database = PostgresDatabase(Address(request.getfixturevalue("new_database")))
    yield database
    database.close()


@pytest.fixture
def new_database() -> Iterator[str]:
    """Give the address of a database in PostgreSQL that has nothing but a server's tables."""
    with new_postgres() as address:
        yield address


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Give the address of a database in PostgreSQL that has nothing in it."""
    with empty_postgres() as address:
        yield address
