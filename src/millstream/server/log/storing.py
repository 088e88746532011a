"""Storing the events of a run while it goes on: one write at a time, of all that have come.

Those of a resumable run are stored to be shown, those of any run once another replica reads it. For
that one it is stored as well up to where the events may be read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import TYPE_CHECKING, NamedTuple

from millstream.server.storage import attempts
from millstream.server.storage.attempts import TakenOverError

if TYPE_CHECKING:
    from millstream.server.log.run_log import Entry, RunLog
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")


class _Batch(NamedTuple):
    """What is stored together."""

    entries: Sequence[Entry]
    shown: int
    """Up to where other replicas may read then, -1 if none reads."""
    noted: Future[None]
    """Resolved when it is stored, or never will be."""
    is_first_try: bool = True


class Storing:
    """Stores the events of one run.

    The first one is stored at once, those that come meanwhile together when that is done; a node
    that blocks its event loop holds up none.
    """

    def __init__(
        self,
        db: Database,
        log: RunLog,
        attempt: int,
        give_up: Callable[[], object],
        ring: Callable[[], object],
    ) -> None:
        """Make what stores when it is asked to.

        `give_up` is called, in any thread, when somebody else carries out the run, `ring` when
        there is something for other replicas.
        """
        self._db = db
        self._log = log
        self._attempt = attempt
        self._give_up = give_up
        self._ring = ring
        self._lock = log.lock
        self._waiting: list[Entry] = []
        self._under_way: Future[None] | None = None
        self._is_held = False
        self._fault: Exception | None = None
        """Why something of what was said is not stored, and never will be."""
        self._is_followed = False
        """Another replica reads it."""
        self._published = -1
        """Up to where that one may read."""
        # It goes on writing from a thread of the database, which writes for others too.
        self._context = copy_context()

    def begin(self) -> None:
        """Store what comes from now on."""
        self._log.sink = self.note

    def follow(self) -> None:
        """Have another replica read the run, with what is still here of what it has said."""
        with self._lock:
            if self._is_followed or self._is_held:
                return
            self._is_followed = True
            if self._log.sink is None:
                self._waiting.extend(self._log.since(self._log.stored))
                self.begin()
            self._log.on_shown = self._go_on
            self._go_on()

    def note(self, entry: Entry) -> None:
        """Have an event stored; from the thread that appends."""
        with self._lock:
            self._waiting.append(entry)
            self._go_on()

    def _go_on(self) -> None:
        """Write what there is, if nothing is being written."""
        with self._lock:
            is_free = self._under_way is None and not self._is_held
            if is_free and (self._waiting or self._shown_after(()) > self._published):
                self._write()

    def _shown_after(self, entries: Sequence[Entry]) -> int:
        """Return up to where others may read when these are stored; -1 where nobody does."""
        if not self._is_followed:
            return -1
        stored = entries[-1].seq if entries else self._log.stored
        limit = self._log.holds.limit
        return stored if limit is None else min(stored, limit)

    async def stored(self) -> None:
        """Return when everything is stored that was said until now.

        If it cannot be, that is raised: then what it tells of must not be stored either.
        """
        last = self._log.last
        while (future := self._next(last)) is not None:
            await asyncio.wait([asyncio.wrap_future(future)])
        self._check()

    def wait(self) -> None:
        """Do what `stored` does in this thread."""
        last = self._log.last
        while (future := self._next(last)) is not None:
            wait([future])
        self._check()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _next(self, last: int) -> Future[None] | None:
        """Return what has to be waited for next, None if an event is stored or never will be."""
        with self._lock:
            if self._log.stored >= last or self._is_held:
                return None
            return self._under_way or self._log.holds.unsettled()

    async def hold(self) -> None:
        """Store what comes from now on with the end of the run, behind what is being stored."""
        with self._lock:
            self._is_held = True
            under_way = self._under_way
        if under_way is not None and not self._db.writes_in_order:
            await asyncio.wait([asyncio.wrap_future(under_way)])

    def rest(self) -> Sequence[Entry]:
        """Return what is not stored yet: it is stored with the end of the run."""
        with self._lock:
            self._log.holds.settle()
            return self._take_rest()

    def cut(self) -> tuple[Sequence[Entry], bool]:
        """Return what is not stored yet of a run that goes on elsewhere.

        Also say whether it may tell of something that is not stored: what was given to the saver
        last may be, or is not. Nobody reads that here any more.
        """
        with self._lock:
            return self._take_rest(), self._log.cut()

    def _take_rest(self) -> Sequence[Entry]:
        self._log.sink = self._log.on_shown = None
        rest, self._waiting = self._waiting, []
        return rest

    def _write(self) -> None:
        entries, self._waiting = self._waiting, []
        self._under_way = Future()
        self._send(_Batch(entries, self._shown_after(entries), self._under_way))

    def _send(self, batch: _Batch) -> None:
        told = () if batch.shown < 0 else (batch.shown,)
        run_id, attempt = self._log.run_id, self._attempt
        try:
            future = self._context.run(
                self._db.write_soon, attempts.append, run_id, attempt, batch.entries, *told
            )
        except RuntimeError as error:  # the database is closed
            with self._lock:
                self._fault, self._is_held, self._under_way = error, True, None
            batch.noted.set_result(None)
            return
        future.add_done_callback(lambda done: self._note_stored(done, batch))

    def _note_stored(self, done: Future[None], batch: _Batch) -> None:
        error, noted, shown = done.exception(), batch.noted, batch.shown
        last = batch.entries[-1].seq if batch.entries else self._log.stored
        if isinstance(error, TakenOverError):
            # Nobody is shown what it has said, and it says no more.
            logger.warning("run %s is given up: %s", self._log.run_id, error)
            self._fault, self._is_held = error, True
            self._give_up()
            noted.set_result(None)
            return
        if isinstance(error, Exception) and batch.is_first_try and self._db.may_pass(error):
            # Whoever writes has waited for the database, and waits once more.
            self._send(batch._replace(is_first_try=False))
            return
        if error is not None:
            error = error if isinstance(error, Exception) else RuntimeError(str(error))
            # Those who read now have them; whoever comes back later does not.
            self._fault = error
            logger.error(
                "events of run %s up to %d cannot be stored",
                self._log.run_id,
                last,
                exc_info=error,
            )
            if not self._db.writes_in_order and self._db.may_pass(error):
                # Another replica may say something else in their place by now.
                self._is_held = True
                noted.set_result(None)
                return
        self._log.reveal(last)
        with self._lock:
            self._under_way = None
            self._published = max(self._published, shown)
            self._go_on()
        noted.set_result(None)
        if shown >= 0:
            self._ring()
