"""The tables of a journal in PostgreSQL, and how older ones become today's.

They are in a schema of their own. In statements `@@` stands for its name, and `@` for that and the
beginning of a table's name, because nothing may depend on the state of a session: a pooler gives
each transaction another one.
"""

from __future__ import annotations

import re
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
    has_rows: bool = True
    formats: Sequence[int] | None = None
    """How the server reads each value, 1 where it is bytes or text and 0 where it is written out;
    given where rows are only counted, see `postgres_direct`."""


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
    # Of those that only have writes: none, as a rule.
    "CREATE INDEX ON @checkpoints (line) WHERE body IS NULL AND id IS NOT NULL",
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
"""What makes each version of the one before it. Never changed, only added to.

It may be done while programs of the version before use the tables: it adds what those do not look
at, and locks nothing for long.
"""
OLDEST: Final = 1
"""The oldest version whose programs may go on using today's tables."""


def quoted(schema: str) -> str:
    """Return the name of a schema as it stands in statements."""
    return '"{}"'.format(schema.replace('"', '""'))


@lru_cache(maxsize=256)
def in_schema(text: str, schema: str) -> bytes:
    """Return a statement with the names of a schema, `@@`, and of its tables."""
    name = quoted(schema).replace("%", "%%")
    return re.sub("@@?", lambda m: name if len(m[0]) == 2 else f"{name}.journal_", text).encode()


def find_version(schema: str) -> Steps[tuple[int, int]]:
    """Return as which version tables are used, 0 if there are none, and the server's process."""
    # Not to_regclass: within a transaction it does not see what others have made meanwhile.
    query = """
        SELECT pg_backend_pid(), (
            SELECT count(*) FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = %s::text AND c.relname = 'journal_numbers'
        )
    """
    [[(pid, found)]] = yield [Statement(query, (schema,))]
    if not found:
        return 0, pid
    query = "SELECT name, value FROM @numbers WHERE name IN ('version', 'oldest')"
    [rows] = yield [Statement(query)]
    noted = dict(rows)
    return usable_as(noted.get("version", 0), noted.get("oldest")), pid


def usable_as(found: int, oldest: int | None) -> int:
    """Return as which version those tables are used that are of a version that was found.

    `oldest` is that of the programs that may use them, as a newer one has noted it.
    """
    known = len(MIGRATIONS)
    return known if oldest is not None and oldest <= known < found else found


def migrate(schema: str, place: str) -> Steps[None]:
    """Make the tables, or bring them up to date; in a transaction that has begun."""
    yield [Statement("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", has_rows=False)]
    # Who comes second waits here, and then sees that nothing is left to do.
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s::text, 0))::text"
    yield [Statement(lock, (f"millstream.journal {schema}",))]
    found, _ = yield from find_version(schema)
    refuse_newer(found, place)
    if found == len(MIGRATIONS):
        return
    # Making a schema takes a right, also when it is there and nothing is made.
    query = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s::text"
    [there] = yield [Statement(query, (schema,))]
    if not there:
        yield [Statement("CREATE SCHEMA @@", has_rows=False)]
    for statements in MIGRATIONS[found:]:
        for text in statements:
            yield [Statement(text, has_rows=False)]
    note = (
        "INSERT INTO @numbers VALUES ('version', %s::bigint), ('oldest', %s::bigint) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    yield [Statement(note, (str(len(MIGRATIONS)), str(OLDEST)), has_rows=False)]


def refuse_newer(found: int, place: str) -> None:
    """Raise an error if tables are of a version that is not known."""
    if found > len(MIGRATIONS):
        raise NewerSchemaError(place, found, len(MIGRATIONS))
