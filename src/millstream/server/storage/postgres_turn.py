"""One server after another, where several that start prepare the same database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from millstream.server.storage.postgres_engine import Address, import_psycopg

_PAUSE: Final = 0.05
"""Seconds between two tries to have a turn."""
_TRY: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


@contextmanager
def turn(address: Address, name: str) -> Iterator[None]:
    """Have nobody else have the turn of this name in a database until the block ends.

    Whoever has it may make an index `CONCURRENTLY`, which waits for all statements that go on: so
    the others do not wait in one.
    """
    psycopg = import_psycopg()
    with address.connect() as guard:
        # It sees nothing between its statements, sent as one message that leaves no portal behind.
        guard.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        with guard.transaction():
            cursor = psycopg.ClientCursor(guard)
            while not cursor.execute(_TRY, (name,)).fetchone()[0]:
                time.sleep(_PAUSE)
            yield
