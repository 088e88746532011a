"""Sending a statement to PostgreSQL without a cursor.

What a superstep writes is one statement, and all that is asked back is whether there was a row. A
cursor of psycopg takes about as long to give it and to hand that out as the server takes to carry
it out, so it is given to the connection itself, through what psycopg's cursors are made of.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from millstream.journal.postgres_connections import import_psycopg

if TYPE_CHECKING:
    import psycopg


@lru_cache(maxsize=256)
def _named(query: bytes) -> tuple[bytes, bytes]:
    """Return a name for a statement, and it with its places numbered, as the server wants them.

    The name says what the statement is, so that nobody's is taken for another one where a session
    is shared.
    """
    number = 0

    def place(found: re.Match[bytes]) -> bytes:
        nonlocal number
        if found[0] == b"%%":
            return b"%"
        number += 1
        return b"$%d" % number

    numbered = re.sub(rb"%[%s]", place, query)
    return b"millstream_" + blake2b(numbered, digest_size=12).hexdigest().encode(), numbered


class Direct:
    """Sends statements whose rows are only counted."""

    def __init__(self) -> None:
        self._psycopg = import_psycopg()
        self._prepared: WeakKeyDictionary[Any, set[bytes]] = WeakKeyDictionary()
        """By connection, names of statements that its session knows."""

    def count_rows(
        self,
        connection: psycopg.BaseConnection[Any],
        query: bytes,
        values: Sequence[Any],
        formats: Sequence[int],
        *,
        prepares: bool,
    ) -> Generator[Any, Any, int]:
        """Yield what a connection has to wait for; return the number of rows."""
        pgconn = connection.pgconn
        execute = self._psycopg.generators.execute
        encoding = connection.info.encoding
        given = self._encoded(values, "utf-8" if encoding == "ascii" else encoding)
        listed = list(formats)  # psycopg's first 3.2 takes nothing else
        name, numbered = _named(query)
        if prepares:
            known = self._prepared.get(connection)
            if known is None:
                known = self._prepared[connection] = set()
            if name not in known:
                pgconn.send_prepare(name, numbered)
                with suppress(self._psycopg.errors.DuplicatePreparedStatement):
                    self._count((yield from execute(pgconn)), encoding)
                known.add(name)
            pgconn.send_query_prepared(name, given, listed, 1)
        else:
            pgconn.send_query_params(numbered, given, param_formats=listed, result_format=1)
        return self._count((yield from execute(pgconn)), encoding)

    def _encoded(self, values: Sequence[Any], encoding: str) -> list[bytes | None]:
        given: list[bytes | None] = []
        for value in values:
            if isinstance(value, str):
                if "\0" in value:
                    raise self._psycopg.DataError(
                        f"PostgreSQL text fields cannot contain NUL (0x00) bytes: {value!r}"
                    )
                given.append(value.encode(encoding))
            else:
                given.append(value)
        return given

    def _count(self, results: Sequence[Any], encoding: str) -> int:
        status = self._psycopg.pq.ExecStatus
        for result in results:
            # Also behind the rows: when it is committed, something may go wrong.
            if result.status not in (status.TUPLES_OK, status.COMMAND_OK):
                error: Exception = self._psycopg.errors.error_from_result(result, encoding=encoding)
                raise error
        count: int = results[0].ntuples
        return count
