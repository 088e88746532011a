"""The files of a server as they are at a moment: what the next one finds, should it die then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from millstream.journal import Journal, PostgresJournal, SqliteJournal
from server.databases import copy_postgres, of_directory
from server.fixtures import config_of


def copy_files(source: Path, target: Path) -> Path:
    """Copy the databases of a server that goes on."""
    (target / ".millstream").mkdir(parents=True)
    if of_directory(source) is not None:
        copy_postgres(source, target)
        return target
    files = (source / ".millstream").glob("*.db")
    # What tells of the state is stored before it: who copies it later has all of it.
    for file in sorted(files, key=lambda file: file.name == "server.db"):
        with (
            closing(sqlite3.connect(file)) as known,
            closing(sqlite3.connect(target / ".millstream" / file.name)) as copy,
        ):
            known.backup(copy)
    return target


def journal_of(directory: Path) -> Journal:
    """Return the journal of a server of a directory that does not go on."""
    config = config_of({}, directory)
    if config.postgres is not None:
        return PostgresJournal(config.postgres)
    return SqliteJournal(config.file_beside("threads"))


def copying(
    function: Callable[..., Any], copy: Callable[[], object], when: str
) -> Callable[..., Any]:
    """Return an async function that has files copied before or after it does its work, once."""
    is_done = False

    def copy_once() -> None:
        nonlocal is_done
        if not is_done:
            is_done = True
            copy()

    async def call(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            copy_once()
        found = await function(*args, **kwargs)
        if when == "after":
            copy_once()
        return found

    return call
