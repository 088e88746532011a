"""Bringing what an older version has stored up to date, before a server of this one starts."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Final, TypeVar

from millstream.journal import Journal, postgres_schema, sqlite_schema
from millstream.server.config import ServerConfig
from millstream.server.encryption.loading import load_sealer
from millstream.server.errors import ConfigError
from millstream.server.graph_files import prepare_imports
from millstream.server.persistence import open_saver, open_store
from millstream.server.storage import migrations, postgres_indexes
from millstream.server.storage.backup import files_of
from millstream.server.storage.opening import open_database, owning_database
from millstream.server.storage.ownership import InUseError
from millstream.server.storage.postgres_engine import SCHEMA, Address, import_psycopg

VersionT = TypeVar("VersionT")

PATIENCE: Final = 30.0
"""Seconds that another process has for the same."""


def missing(config: ServerConfig) -> Mapping[str, Sequence[str]]:
    """Return which steps each place has not taken in which something is kept; nothing is changed.

    What the store's tables miss its own package knows, when they are opened.
    """
    found = _in_postgres(config.postgres) if config.postgres else _in_files(config)
    return {place: names for place, names in found.items() if names}


def update(config: ServerConfig) -> Mapping[str, Sequence[str]]:
    """Bring everything up to date, and return what was missing.

    Where others do the same it is waited for them; a server that has the database, and is older,
    has to end first.
    """
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with owning_database(config):
                found = missing(config)
                asyncio.run(_open_all(config))
                return found
        except InUseError:  # noqa: PERF203
            found = missing(config)
            if not found:
                return found
            if time.monotonic() > until:
                raise
            threading.Event().wait(0.1)


async def _open_all(config: ServerConfig) -> None:
    """Open everything as a server does, which brings it up to date."""
    prepare_imports(config)
    async with AsyncExitStack() as stack:
        sealer = load_sealer(config)
        if sealer is not None:
            stack.callback(sealer.close)
        stack.callback(open_database(config, sealer).close)
        saver = await open_saver(config, stack, sealer)
        if isinstance(saver, Journal):
            # Its tables are made by who reads first.
            await saver.aget_tuple({"configurable": {"thread_id": "none", "checkpoint_ns": ""}})
        await open_store(config, stack, sealer)


def _in_files(config: ServerConfig) -> dict[str, list[str]]:
    files = files_of(config)
    rows = files["server.db"]
    found = {str(rows): _steps_after(_version(rows, _last_step), str(rows))}
    if "threads.db" in files:
        threads = files["threads.db"]
        version = _version(threads, sqlite_schema.version)
        found[str(threads)] = _versions(version, len(sqlite_schema.MIGRATIONS))
    return found


def _last_step(connection: sqlite3.Connection) -> tuple[str | None, str | None]:
    """Return the last step that was taken, and up to which one those have to know who use it."""

    def look(table: str, column: str) -> str | None:
        tables = "SELECT 1 FROM sqlite_master WHERE name = ?"
        if connection.execute(tables, [table]).fetchone() is None:
            return None
        found = connection.execute(f"SELECT {column} FROM {table}").fetchone()
        return None if found is None else str(found[0])

    return look("alembic_version", "version_num"), look("usable_from", "step")


def _version(path: Path, look: Callable[[sqlite3.Connection], VersionT]) -> VersionT | None:
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
            return look(connection)
    except sqlite3.Error as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _in_postgres(text: str) -> dict[str, list[str]]:
    psycopg = import_psycopg()
    address = Address(text)

    def look(table: str, query: str) -> Any:
        [there] = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.{table}",)).fetchone()
        row = connection.execute(query).fetchone() if there else None
        return None if row is None else row[0]

    try:
        with address.connect() as connection:
            step = (
                look("alembic_version", f"SELECT version_num FROM {SCHEMA}.alembic_version"),
                look("usable_from", f"SELECT step FROM {SCHEMA}.usable_from"),
            )
            number = f"SELECT value FROM {SCHEMA}.journal_numbers WHERE name = 'version'"
            version = look("journal_numbers", number)
            indexes = postgres_indexes.missing(connection, SCHEMA)
    except psycopg.Error as error:
        raise ConfigError(f"the database {address} cannot be used: {error}") from None
    rows = _steps_after(step, str(address))
    threads = _versions(version, len(postgres_schema.MIGRATIONS))
    return {
        str(address): [
            *rows,
            *(f"index {index.name}" for index in indexes),
            *(f"threads, {name}" for name in threads),
        ]
    }


def _steps_after(taken: tuple[str | None, str | None] | None, place: str) -> list[str]:
    found, usable_from = taken or (None, None)
    if found is not None and not migrations.is_usable(found, usable_from):
        raise ConfigError(migrations.newer(place, found, usable_from))
    known = migrations.steps()
    return [name for number, name in known.items() if found is None or number > found]


def _versions(found: int | None, newest: int) -> list[str]:
    if not found:  # what is not there yet is made when it is needed
        return []
    return [f"version {number}" for number in range(found + 1, newest + 1)]
