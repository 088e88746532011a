"""Storing the events of a run while it goes on, several at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from millstream.server.storage import events

if TYPE_CHECKING:
    from millstream.server.log.run_log import Entry, RunLog
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")

TOGETHER: Final = 64
"""How many events are stored together at most."""
DELAY: Final = 0.008
"""Seconds an event may wait for others."""


class Storing:
    """Stores the events of one resumable run, in the loop in which it goes on."""

    def __init__(self, db: Database, log: RunLog) -> None:
        self._db = db
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        log.sink = self.note

    def note(self, entry: Entry) -> None:
        """Have an event stored, soon."""
        self._waiting.append(entry)
        if len(self._waiting) >= TOGETHER:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(DELAY, self._flush)

    def rest(self) -> Sequence[Entry]:
        """Return what is not stored yet: it is stored with the end of the run."""
        self._log.sink = None
        self._stop_timer()
        rest, self._waiting = self._waiting, []
        return rest

    def _flush(self) -> None:
        self._stop_timer()
        entries, self._waiting = self._waiting, []
        if not entries:
            return
        future = self._db.write_soon(events.append, self._log.run_id, entries)
        last = entries[-1].seq

        def note(done: Future[None]) -> None:
            error = done.exception()
            if error is None:
                self._log.stored = last
            else:
                # Those who read now have them; whoever comes back later does not.
                logger.error(
                    "events of run %s up to %d cannot be stored",
                    self._log.run_id,
                    last,
                    exc_info=error,
                )

        future.add_done_callback(note)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
