"""Indexes by what objects of JSON contain, which only PostgreSQL has.

They are no step of `migrations`, which are taken in a transaction: an index that is made in one
keeps everybody from writing until it is there. Made `CONCURRENTLY` it keeps nobody, but then there
is no transaction. So whoever opens the database makes what is missing, once its tables are there;
nothing depends on these indexes but how long it takes to find something.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from millstream.server.storage.postgres_engine import Address, import_psycopg, let_take_long
from millstream.server.storage.postgres_turn import INDEXES_TURN, turn

logger = logging.getLogger("millstream.server")

_PATIENCE: Final = 30
"""Seconds for which transactions are waited for that were there before, several times."""
_LIST: Final = 64
"""Kilobytes of new entries that are kept in a list until they are sorted in. Who looks for
something reads all of the list, so it is short; without one each run would log twice as much."""
_VALID: Final = """
SELECT relname FROM pg_catalog.pg_index
JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relname = ANY(%s) AND indisvalid
"""


class SearchIndex(NamedTuple):
    """An index of the metadata of a table's rows."""

    name: str
    table: str
    condition: str = ""
    """Which rows are in it; a query that looks for others too does not use it."""


INDEXES: Final = (
    SearchIndex("ix_threads_metadata", "threads", "WHERE is_temporary = false"),
    SearchIndex("ix_assistants_metadata", "assistants"),
    SearchIndex("ix_crons_metadata", "crons"),
)


def missing(connection: Any, schema: str) -> Sequence[SearchIndex]:
    """Return the indexes that are not there, or not whole; `connection` is psycopg's."""
    names = [index.name for index in INDEXES]
    found = {row[0] for row in connection.execute(_VALID, (schema, names)).fetchall()}
    return [index for index in INDEXES if index.name not in found]


def complete(address: Address, schema: str) -> None:
    """Make the indexes that are missing, while others read and write.

    If somebody does so already, it is left to them. One that cannot be made is told to the log,
    and made by who opens the database later.
    """
    psycopg = import_psycopg()
    try:
        # That of who makes the indexes of a step, and comes here after it: two that are made at
        # once wait for each other, one for the table and one for the statement of the other.
        with turn(address, INDEXES_TURN.format(schema), waits=False) as is_ours:
            if is_ours:
                with address.connect() as connection:
                    _make(connection, schema, missing(connection, schema))
    except psycopg.Error as error:
        logger.warning(
            "the database %r lacks an index for searches by metadata, which read every row until a "
            "server that starts later has made it: %s", address, error
        )  # fmt: skip


def _make(connection: Any, schema: str, indexes: Sequence[SearchIndex]) -> None:
    from psycopg import sql

    let_take_long(connection, _PATIENCE)
    for index in indexes:
        # What an attempt has left that was ended is of no use.
        name = sql.Identifier(schema, index.name)
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
        connection.execute(
            sql.SQL(
                "CREATE INDEX CONCURRENTLY {} ON {} USING gin (metadata jsonb_path_ops) "
                f"WITH (gin_pending_list_limit = {_LIST}) {index.condition}"
            ).format(sql.Identifier(index.name), sql.Identifier(schema, index.table))
        )
