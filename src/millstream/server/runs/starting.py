"""`Starting`: runs that wait begin here when there is a slot, and when their time has come.

Which ones these are is in rows, see `storage.queue`. What is known here is how many slots there
are, and that some may be waiting: who is told nothing looks now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from millstream.server.doorbell.news import QUEUE
from millstream.server.storage import queue
from millstream.server.storage.database import DatabaseClosedError

if TYPE_CHECKING:
    from millstream.server.doorbell.rings import Rings
    from millstream.server.replicas.membership import Membership
    from millstream.server.runs.active import ActiveRun
    from millstream.server.storage.database import Database
    from millstream.server.storage.run_records import Job

logger = logging.getLogger("millstream.server")

PASSED_BY: Final = 0.02
"""Seconds until runs are looked at again whose threads somebody else was changing."""
RETRY: Final = 1.0
"""Seconds until it is tried again to begin runs, where the database did not let any begin."""


class Starting:
    """Begins runs of the queue while there are slots. In the loop that serves."""

    def __init__(
        self,
        db: Database,
        membership: Membership,
        bell: Rings,
        active: Mapping[str, ActiveRun],
        launch: Callable[[Job], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        *,
        slots: int,
    ) -> None:
        """Take the runs that are carried out here, as they come and go.

        `launch` carries one out, `spawn` starts a task that its owner waits for. `slots` is how
        many runs are carried out at a time.
        """
        self._db = db
        self._membership = membership
        self._bell = bell
        self._active = active
        self._launch = launch
        self._spawn = spawn
        self._slots = slots
        self.is_draining = False
        """Nothing more is begun."""
        self._is_closed = False
        self._reserved = 0
        """Slots of runs that are being stored, or taken out of the queue."""
        self._are_some_waiting = True
        """There may be runs in the queue."""
        self._begun: dict[int, float] = {}
        """When the last run of each priority came out of it."""
        self._timer: asyncio.TimerHandle | None = None
        self._next_start: str | None = None
        """When the timer is for: the time comes of a run that was put off."""
        self._again: dict[Callable[[], None], asyncio.TimerHandle] = {}
        """What is done again a little later, once however many ask for it."""

    @property
    def has_slot(self) -> bool:
        """Whether a run may begin here."""
        return not self.is_draining and self._free > 0

    @property
    def may_keep_slot(self) -> bool:
        """Whether the next run of a thread may have the slot of the one before it."""
        # Where others wait for a slot, it is not for the thread to keep it.
        return not self.is_draining and not self._are_some_waiting

    @contextmanager
    def reserving(self) -> Iterator[bool]:
        """Keep a slot for a run that is being stored; say whether there is one."""
        has_slot = self.has_slot
        self._reserved += has_slot
        try:
            yield has_slot
        finally:
            self._reserved -= has_slot

    def drain(self) -> None:
        """Begin nothing more: what waits is for others, or for the next process."""
        self.is_draining = True

    def close(self) -> None:
        """Begin nothing, and look for nothing any more."""
        self.is_draining = self._is_closed = True
        for timer in (self._timer, *self._again.values()):
            if timer is not None:
                timer.cancel()

    def note_queued(self) -> None:
        """Take note that there is a run in the queue, and have others know it."""
        self._are_some_waiting = True
        self._bell.ring(QUEUE)

    def start_more(self) -> None:
        """Begin what had to wait for something that has happened now, here or elsewhere."""
        self.note_queued()
        self.start_told()

    def start_told(self) -> None:
        """Do so where others know of it."""
        self._are_some_waiting = True
        if self.has_slot:
            self._spawn(self.fill())

    def look(self) -> None:
        """Look at all that waits, unless nothing more is begun here."""
        if not self.is_draining:
            self._spawn(self.go_on())

    async def fill(self) -> None:
        """Begin what is in the queue, if there may be something in it, as long as there are slots.

        If the database lets none begin, it is tried again later.
        """
        try:
            while self._are_some_waiting and self.has_slot and await self._begin():
                pass
        except Exception as error:  # else they would wait until something happens
            self._try_again(error)

    async def go_on(self) -> None:
        """See to the runs whose time has come, and be there when it comes for the next one."""
        try:
            while await self._db.write(queue.bring_due):
                pass
            self._are_some_waiting = True
            await self.fill()
            start = await self._db.read(queue.next_start)
        except Exception as error:
            self._try_again(error)
            return
        if start is not None:
            self.arm(start)

    def arm(self, start_at: str) -> None:
        """Be there when a run that was put off has to start."""
        if self._is_closed:
            return
        if self._timer is not None:
            assert self._next_start is not None
            if self._next_start <= start_at:
                return
            self._timer.cancel()
        delay = self._db.clock.until(datetime.fromisoformat(start_at))
        self._next_start = start_at
        # A moment later: claiming compares with the time of day.
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay) + 0.001, self._wake)

    @property
    def _free(self) -> int:
        return self._slots - len(self._active) - self._reserved

    async def _begin(self) -> bool:
        """Begin runs in half of the slots; say whether it is worth to ask for more.

        The other half is for what is asked for here meanwhile: it begins at once, and not by way of
        the queue, where other replicas are rung for and take it.
        """
        asked = (self._free + 1) // 2
        self._reserved += asked
        # Of what is still here and was taken over, nothing is begun anew.
        mine = list(self._active)
        self._are_some_waiting = False  # but for those that come from now on
        try:
            claimed = await self._db.write(
                queue.claim,
                asked,
                dict(self._begun),
                self._membership.holder,
                rule=self._membership.on_new_revision,
                without=mine,
            )
        except BaseException:
            self._are_some_waiting = True
            raise
        finally:
            self._reserved -= asked
        for job in claimed.jobs:
            self._begun[job.priority] = self._db.clock.seconds()
            self._launch(job)
        if len(claimed.jobs) == asked:
            self._are_some_waiting = True
        elif claimed.has_passed:
            self._later(PASSED_BY, self.start_told)  # the others pass them by, too
            return False
        return True

    def _try_again(self, error: Exception) -> None:
        if isinstance(error, DatabaseClosedError):
            return
        trace = None if self._db.may_pass(error) else error
        logger.error("runs that wait cannot be begun yet: %s", error, exc_info=trace)
        self._later(RETRY, self.look)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something in some seconds, if it is not going to be done anyway."""

        def do() -> None:
            del self._again[act]
            act()

        if act not in self._again and not self._is_closed:
            self._again[act] = asyncio.get_running_loop().call_later(seconds, do)

    def _wake(self) -> None:
        self._timer = None
        if not self._is_closed:
            self._spawn(self.go_on())
