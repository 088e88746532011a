"""One server after another, where several that start prepare the same database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from millstream.server.storage.postgres_engine import Address, import_psycopg

_PAUSE: Final = 0.05
"""Seconds between two tries to have a turn."""
_BEGIN: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
_TRY: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


@contextmanager
def turn(address: Address, name: str, *, waits: bool = True) -> Iterator[bool]:
    """Have nobody else have the turn of this name in a database until the block ends.

    The block is told whether it has it, which it always has unless it does not want to wait.
    Whoever has it may make an index `CONCURRENTLY`. That waits until all transactions are over that
    may see rows as they were when it began, so nobody waits for a turn in a transaction.
    """
    psycopg = import_psycopg()
    with address.connect() as guard:
        # What has it sees nothing between its statements, where the one that asked for it was sent
        # as one message that leaves no portal behind.
        guard.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        while True:
            with guard.transaction():
                guard.execute(_BEGIN)
                [is_ours] = psycopg.ClientCursor(guard).execute(_TRY, (name,)).fetchone()
                if is_ours or not waits:
                    yield is_ours
                    return
            time.sleep(_PAUSE)
