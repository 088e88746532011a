"""The tables of a journal in PostgreSQL, and how older ones become today's.

They are in a schema of their own. In statements `@` stands for the schema and the beginning of a
table's name, because nothing may depend on the state of a session: a pooler gives each transaction
another one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from millstream.journal.storage import NewerSchemaError

ResultT = TypeVar("ResultT")


@dataclass(slots=True, frozen=True)
class Statement:
    """What is sent to the server; numbers are given as text, so that types are always the same."""

    text: str
    values: Sequence[Any] = ()


Steps: TypeAlias = Generator[Sequence[Statement], Sequence[list[Any]], ResultT]
"""What yields statements that may be sent together, is sent their rows, and has a result."""

_FIRST: Final = (
    "CREATE TABLE @numbers (name text PRIMARY KEY, value bigint NOT NULL)",
    # With room on each page, a counter that rises stays where it is.
    """
    CREATE TABLE @lines (
        number bigint PRIMARY KEY,
        thread_id text NOT NULL,
        ns text NOT NULL,
        counter integer NOT NULL,
        at bigint NOT NULL,
        UNIQUE (thread_id, ns)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE @checkpoints (
        line bigint NOT NULL,
        number integer NOT NULL,
        id text COLLATE "C",
        root integer NOT NULL,
        home bigint NOT NULL,
        body bytea,
        PRIMARY KEY (line, number),
        UNIQUE (line, id)
    )
    """,
    """
    CREATE TABLE @writes (
        line bigint NOT NULL,
        checkpoint integer NOT NULL,
        number integer NOT NULL,
        home bigint NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (line, checkpoint, number)
    )
    """,
    """
    CREATE TABLE @parts (
        line bigint NOT NULL,
        number integer NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (line, number)
    )
    """,
    """
    CREATE TABLE @labels (
        name text NOT NULL,
        value text NOT NULL,
        line bigint NOT NULL,
        PRIMARY KEY (name, value, line)
    )
    """,
    "CREATE INDEX ON @labels (line)",
    """
    CREATE TABLE @shares (
        pool bigint NOT NULL,
        line bigint NOT NULL,
        PRIMARY KEY (pool, line)
    )
    """,
    "CREATE INDEX ON @shares (line)",
    "INSERT INTO @numbers VALUES ('lines', 0)",
)
MIGRATIONS: Final = (_FIRST,)
"""What makes each version of the one before it. Never changed, only added to."""


def quoted(schema: str) -> str:
    """Return the name of a schema as it stands in statements."""
    return '"{}"'.format(schema.replace('"', '""'))


@lru_cache(maxsize=256)
def in_schema(text: str, schema: str) -> bytes:
    """Return a statement with the names of a schema's tables."""
    return text.replace("@", f"{quoted(schema)}.journal_").encode()


def find_version(schema: str) -> Steps[tuple[int, int]]:
    """Return the version of the tables, 0 if there are none, and the process of the server."""
    table = f"{quoted(schema)}.journal_numbers"
    query = "SELECT to_regclass(%s::text)::text, pg_backend_pid()"
    [[(found, pid)]] = yield [Statement(query, (table,))]
    if found is None:
        return 0, pid
    [rows] = yield [Statement("SELECT value FROM @numbers WHERE name = 'version'")]
    return (rows[0][0] if rows else 0), pid


def migrate(schema: str, place: str) -> Steps[None]:
    """Make the tables, or bring them up to date; in a transaction that has begun."""
    # Who comes second waits here, and finds that nothing is left to do.
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))::text"
    yield [Statement(lock, (f"millstream.journal {schema}",))]
    found, _ = yield from find_version(schema)
    refuse_newer(found, place)
    if found == len(MIGRATIONS):
        return
    [[(there,)]] = yield [Statement("SELECT to_regnamespace(%s::text)::text", (quoted(schema),))]
    if there is None:
        yield [Statement(f"CREATE SCHEMA {quoted(schema)}")]
    for statements in MIGRATIONS[found:]:
        for text in statements:
            yield [Statement(text)]
    note = (
        "INSERT INTO @numbers VALUES ('version', %s::bigint) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    yield [Statement(note, (str(len(MIGRATIONS)),))]


def refuse_newer(found: int, place: str) -> None:
    """Raise an error if tables are of a version that is not known."""
    if found > len(MIGRATIONS):
        raise NewerSchemaError(place, found, len(MIGRATIONS))
