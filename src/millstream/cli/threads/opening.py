"""Find the journal that DATABASE names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream.cli.failures import UsageError, text_of
from millstream.cli.installing import in_this_environment

if TYPE_CHECKING:
    from millstream.journal import Journal

Database = Annotated[
    str, typer.Argument(metavar="DATABASE", help="Path of a file, or postgresql://... URL.")
]
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="The id of a thread.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Namespace = Annotated[str, typer.Option("--ns", help="A nested graph's namespace.")]
Schema = Annotated[
    str, typer.Option("--schema", help="The journal's schema, in a PostgreSQL database.")
]
Encrypted = Annotated[
    bool,
    typer.Option("--encrypted", help="The journal is encrypted, with the key LANGGRAPH_AES_KEY."),
]

SCHEMA: Final = "millstream"


@contextmanager
def opened(
    database: str, schema: str = SCHEMA, *, encrypted: bool = False, may_be_new: bool = False
) -> Iterator[Journal]:
    """Lend the journal of a database that has one: none is made unless it may be new.

    What the database or the journal refuses is a `UsageError`. Only classes that the serializer
    knows to be safe are made of what is stored; anything else is shown as what it consists of.
    """
    from millstream._base.addresses import shown
    from millstream.saving.places import new_journal

    name = shown(database)
    with refusals(name):
        is_url = "://" in database
        if not is_url and not may_be_new and not os.path.exists(database):
            raise UsageError(f"no such file: {name}; give the path of a journal, or its URL")
        options: dict[str, Any] = {"schema": schema} if is_url else {}
        with closing(new_journal(database, serde=_serializer(encrypted), **options)) as journal:
            if not may_be_new and not _has_journal(database, schema):
                where = f", schema {schema!r}," if is_url else ""
                raise UsageError(f"{name}{where} has no threads of a journal; give one that has")
            with _without_log():
                yield journal


@contextmanager
def refusals(name: str) -> Iterator[None]:
    """Have what a database, or what is in it, refuses said in one line."""
    import sqlite3

    from millstream.errors import ThreadBusyError

    try:
        yield
    except (ValueError, RuntimeError, ImportError, sqlite3.Error, ThreadBusyError) as error:
        raise UsageError(f"{name}: {_advice(text_of(error))}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        raise UsageError(f"{name}: {text_of(error)}") from error


def _advice(text: str) -> str:
    head, mark, _ = text.partition("it is encrypted: ")
    if mark:
        return f"{head}{mark}give --encrypted, and the key as LANGGRAPH_AES_KEY"
    return in_this_environment(text)


def _serializer(encrypted: bool) -> Any:
    from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    plain = JsonPlusSerializer(allowed_msgpack_modules=None)
    return EncryptedSerializer.from_pycryptodome_aes(plain) if encrypted else plain


@contextmanager
def _without_log() -> Iterator[None]:
    """Keep the serializer from writing names of classes, which are anybody's text, to stderr."""
    logger = logging.getLogger("langgraph.checkpoint.serde.jsonplus")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _has_journal(database: str, schema: str) -> bool:
    import sqlite3

    if "://" in database:
        from millstream.journal.postgres_connections import checked_address, import_psycopg

        with import_psycopg().connect(checked_address(database)) as connection:
            query = (
                "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = %s AND c.relname = 'journal_lines'"
            )
            return connection.execute(query, [schema]).fetchone() is not None
    address = f"{Path(database).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        query = "SELECT 1 FROM sqlite_master WHERE name = 'journal_lines'"
        return connection.execute(query).fetchone() is not None
