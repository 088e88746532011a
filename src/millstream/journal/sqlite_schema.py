"""The tables of a journal in SQLite, and how older ones become today's.

Rows are found by line and number, which together are one integer, so a table of parts is its own
index. Writes have a key of their own, because they are looked for by their checkpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from millstream.journal.manifests import PART_BITS
from millstream.journal.storage import NewerSchemaError

Execute = Callable[..., sqlite3.Cursor]

BITS: Final = PART_BITS
"""Bits of a number in a key; above them is that of the line, as in what manifests call a part."""
MASK: Final = (1 << BITS) - 1

_FIRST: Final = (
    "CREATE TABLE journal_numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE journal_lines (
        number INTEGER PRIMARY KEY,
        thread_id TEXT NOT NULL,
        ns TEXT NOT NULL,
        counter INTEGER NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (thread_id, ns)
    )
    """,
    # `late` is the line of a row whose id is not greater than all before it, see `sqlite_ids`.
    # `writes` are those of tasks next to the checkpoint with the number `of`: of a row with a body
    # the one before it. `at` is when it was stored, if that is not later than its line says.
    """
    CREATE TABLE journal_checkpoints (
        key INTEGER PRIMARY KEY,
        id TEXT,
        late INTEGER,
        root INTEGER NOT NULL,
        home INTEGER NOT NULL,
        at INTEGER,
        body BLOB,
        of INTEGER,
        writes BLOB
    )
    """,
    """
    CREATE UNIQUE INDEX journal_late_ids ON journal_checkpoints (late, id) WHERE late IS NOT NULL
    """,
    # Of those that only have writes: none, as a rule.
    """
    CREATE INDEX journal_stubs ON journal_checkpoints (late) WHERE body IS NULL AND id IS NOT NULL
    """,
    """
    CREATE TABLE journal_writes (
        line INTEGER NOT NULL,
        checkpoint INTEGER NOT NULL,
        number INTEGER NOT NULL,
        home INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (line, checkpoint, number)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE journal_parts (key INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    """
    CREATE TABLE journal_labels (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        line INTEGER NOT NULL,
        PRIMARY KEY (name, value, line)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX journal_labels_of_lines ON journal_labels (line)",
    """
    CREATE TABLE journal_shares (
        pool INTEGER NOT NULL,
        line INTEGER NOT NULL,
        PRIMARY KEY (pool, line)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX journal_shares_of_lines ON journal_shares (line)",
    "INSERT INTO journal_numbers VALUES ('lines', 0)",
)
_PACKS: Final = (
    # By the key of the first number that one may have, see `sqlite_packs`.
    "CREATE TABLE journal_packs (key INTEGER PRIMARY KEY, rows BLOB, parts BLOB)",
)
MIGRATIONS: Final = (_FIRST, _PACKS)
"""What makes each version of the one before it. Never changed, only added to."""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, or bring them up to date; in a transaction that has begun."""
    found = version(connection)
    if found > len(MIGRATIONS):
        raise NewerSchemaError(path, found, len(MIGRATIONS))
    for statements in MIGRATIONS[found:]:
        for statement in statements:
            connection.execute(statement)
    if found < len(MIGRATIONS):
        connection.execute(
            "INSERT OR REPLACE INTO journal_numbers VALUES ('version', ?)", (len(MIGRATIONS),)
        )


def is_prepared(connection: sqlite3.Connection) -> bool:
    """Say whether the tables are there, in today's version."""
    return version(connection) == len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """Return the version that the tables are of, 0 if there are none."""
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'journal_numbers'"
    if connection.execute(tables).fetchone() is None:
        return 0
    query = "SELECT value FROM journal_numbers WHERE name = 'version'"
    found = connection.execute(query).fetchone()
    return 0 if found is None else int(found[0])
