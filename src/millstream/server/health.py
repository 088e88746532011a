"""Whether the process is well, for whoever watches over it: asked as often as they like.

Ready is a process that may be sent requests, alive one that need not be ended. Nobody asks the
database or a loop more than once a second, however many ask here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, text

from millstream._base.cancellation import within

if TYPE_CHECKING:
    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.storage.database import Database

KEPT: Final = 1.0
"""Seconds for which an answer holds."""
PATIENCE: Final = 3.0
"""Seconds that the database has to answer."""
STUCK: Final = 60.0
"""Seconds after which a loop that has not come round does not do so any more."""


class Health:
    """What is known of the database and of the loop of the graphs. In the loop of HTTP."""

    def __init__(
        self,
        db: Database,
        run_loop: RunLoop,
        clock: Callable[[], float] = time.monotonic,
        *,
        has_lease: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make it; `has_lease` says whether other replicas take this one for alive."""
        self._has_lease = has_lease
        self._is_draining = False
        self._db = db
        self._run_loop = run_loop
        self._clock = clock
        self._database: asyncio.Future[str | None] | None = None
        self._known_until = 0.0
        self._turn: Future[None] | None = None
        self._turn_at = 0.0

    async def unready(self) -> str | None:
        """Return why the process is not ready, None if it is."""
        if not self._is_draining:
            if self._database is None or (
                self._database.done() and self._clock() >= self._known_until
            ):
                self._database = asyncio.ensure_future(self._ask_database())
            try:
                # All who ask meanwhile wait for the same answer.
                fault = await within(PATIENCE, asyncio.shield(self._database))
            except asyncio.TimeoutError:
                fault = f"The database has not answered for {PATIENCE:g} s"
            if fault is not None:
                return fault
            if not self._has_lease():
                return "The lease of the server is over: others may have taken it for dead"
        return "The server is ending" if self._is_draining else None

    def drain(self) -> None:
        """Be ready no more: the process is to end, others are to be sent the requests."""
        self._is_draining = True

    async def dead(self) -> str | None:
        """Return why the process has to be ended, None if it need not be.

        That the loop of HTTP turns is what the answer shows.
        """
        now = self._clock()
        turn = self._turn
        if turn is None or turn.done():
            if turn is None or now - self._turn_at >= KEPT:
                self._turn, self._turn_at = self._run_loop.submit(_come_round()), now
            return None
        if now - self._turn_at < STUCK:
            return None
        # A process that was stopped as a whole comes round as soon as it goes on.
        with suppress(asyncio.TimeoutError):
            await within(KEPT, asyncio.shield(asyncio.wrap_future(turn)))
        if turn.done():
            return None
        seconds = now - self._turn_at
        return f"The event loop of the graphs has not come round for {seconds:.0f} s"

    def close(self) -> None:
        """Ask nobody any more."""
        if self._database is not None:
            self._database.cancel()

    async def _ask_database(self) -> str | None:
        """Have a reader and the writer come round."""
        try:
            await asyncio.gather(self._db.read(_answer), self._db.write(_answer))
        except Exception as error:
            # Its text may tell where the database is, or more.
            return f"The database does not answer: {type(error).__name__}"
        finally:
            self._known_until = self._clock() + KEPT
        return None


async def _come_round() -> None:
    """Show that a loop gets round to something."""


def _answer(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
