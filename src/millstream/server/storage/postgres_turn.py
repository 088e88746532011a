"""One server after another, where several that start prepare the same database."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final

from millstream._base.cancellation import in_thread
from millstream.server.storage.postgres_engine import Address, import_psycopg

logger = logging.getLogger("millstream.server")

INDEXES_TURN: Final = "millstream.server indexes {}"
"""The turn to make indexes of a schema, whichever they are."""
_PAUSE: Final = 0.05
"""Seconds between two tries to have a turn."""
_TOLD_AFTER: Final = 3.0
"""Seconds after which the log says what is waited for."""
_BEGIN: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
_TRY: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"


class TurnLeftError(Exception):
    """Nobody wants the turn any more: who waited for it was told to end."""


@contextmanager
def turn(
    address: Address, name: str, *, waits: bool = True, is_left: threading.Event | None = None
) -> Iterator[bool]:
    """Have nobody else have the turn of this name in a database until the block ends.

    The block is told whether it has it, which it always has unless it does not want to wait.
    Whoever has it may make an index `CONCURRENTLY`. That waits until all transactions are over that
    may see rows as they were when it began, so nobody waits for a turn in a transaction.

    Raises:
        TurnLeftError: `is_left` was set while somebody else had it.
    """
    psycopg = import_psycopg()
    with address.connect() as guard:
        # What has it sees nothing between its statements, where the one that asked for it was sent
        # as one message that leaves no portal behind.
        guard.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        began, is_told = time.monotonic(), False
        while True:
            with guard.transaction():
                guard.execute(_BEGIN)
                [is_ours] = psycopg.ClientCursor(guard).execute(_TRY, (name,)).fetchone()
                if is_ours or not waits:
                    yield is_ours
                    return
            if not is_told and time.monotonic() - began >= _TOLD_AFTER:
                is_told = True
                logger.warning(
                    "another server prepares the database %r (%s), and is waited for; "
                    "pg_stat_activity shows what it does", address, name
                )  # fmt: skip
            if _pause(is_left):
                raise TurnLeftError(name)


def _pause(is_left: threading.Event | None) -> bool:
    """Wait for a moment; say whether nobody waits any more."""
    if is_left is None:
        time.sleep(_PAUSE)
        return False
    return is_left.wait(_PAUSE)


@asynccontextmanager
async def in_turn(address: Address, name: str) -> AsyncIterator[None]:
    """Have a turn until the block ends, while the event loop goes on; who is cancelled leaves."""
    held = ExitStack()

    def take(is_left: threading.Event) -> None:
        held.enter_context(turn(address, name, is_left=is_left))

    await in_thread(take, undo=lambda _: held.close())
    try:
        yield
    finally:
        await asyncio.to_thread(held.close)
