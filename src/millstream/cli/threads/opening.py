"""Find the journal that DATABASE names."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from millstream.cli.failures import UsageError, text_of

if TYPE_CHECKING:
    from millstream.journal import Journal

Database = Annotated[
    str, typer.Argument(metavar="DATABASE", help="Path of a file, or postgresql://... URL.")
]
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The id of a thread.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]

_SCHEMA: Final = "millstream"


@contextmanager
def opened(database: str) -> Iterator[Journal]:
    """Lend the journal of a database that has one: none is made.

    What the database or the journal refuses is a `UsageError`. Only classes that the serializer
    knows to be safe are made of what is stored; anything else is shown as what it consists of.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from millstream.saving.places import new_journal, shown

    name = shown(database)
    try:
        if "://" not in database and not os.path.exists(database):
            raise UsageError(f"no such file: {database}; give the path of a journal, or its URL")
        with closing(new_journal(database)) as journal:
            if not _has_journal(database):
                raise UsageError(f"{name} has no threads of a journal; give one that has")
            journal.serde = JsonPlusSerializer(allowed_msgpack_modules=None)
            with _without_log():
                yield journal
    except (ValueError, RuntimeError, ImportError, sqlite3.Error) as error:
        raise UsageError(f"{name}: {text_of(error)}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        raise UsageError(f"{name}: {text_of(error)}") from error


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep the serializer from writing names of classes, which are anybody's text, to stderr."""
    logger = logging.getLogger("langgraph.checkpoint.serde.jsonplus")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _has_journal(database: str) -> bool:
    if "://" in database:
        from millstream.journal.postgres_connections import import_psycopg

        with import_psycopg().connect(database) as connection:
            query = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
            return connection.execute(query, [_SCHEMA]).fetchone() is not None
    address = f"{Path(database).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        query = "SELECT 1 FROM sqlite_master WHERE name = 'journal_lines'"
        return connection.execute(query).fetchone() is not None
