"""This replica among those that share a database: it shows that it lives, and sees who does not.

Each renews its lease every few seconds, in rows and by the clock of the database. One that is
connected has a lock, which the database lets go of when its connection ends: so the death of a
process is seen in seconds, and a process that was stopped, or cannot reach the database, when its
lease is over. Whoever sees it first takes over what the dead one held.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from langchain_core.utils.uuid import uuid7

from millstream.server.storage import replicas as rows
from millstream.server.storage.run_records import Holder

if TYPE_CHECKING:
    from millstream.server.storage.database import Database
    from millstream.server.storage.replicas import Look, Member

logger = logging.getLogger("millstream.server")

BEAT: Final = 2.0
"""Seconds between two renewals of a lease at most."""
MISSED: Final = 3.0
"""Seconds that a replica may be without its connection: it makes another one sooner."""
FRESH: Final = 10.0
"""Seconds after the start of a database in which nobody is taken for dead by that."""


class Membership:
    """A replica that may be alone. Used in the event loop that serves."""

    def __init__(self, revision: str = "", on_new_revision: str = "same") -> None:
        self.id = str(uuid7())
        """What it holds is held in this name."""
        self.revision: Final = revision
        self.on_new_revision: Final = on_new_revision
        """With which of the runs that others have begun it goes on, see `runs.revisions`."""
        self.others: Sequence[Member] = ()
        """Those that were there when it looked last."""

    @property
    def has_others(self) -> bool:
        """Whether there may be others."""
        return False

    @property
    def has_lease(self) -> bool:
        """Whether others have to take it for alive."""
        return True

    @property
    def holder(self) -> Holder:
        """Return who carries out the runs that it begins."""
        return Holder(self.id, self.revision)

    @property
    def may_hand_over(self) -> bool:
        """Whether there are others that carry out runs."""
        return any(other.slots > 0 and not other.is_over for other in self.others)

    @property
    def is_first(self) -> bool:
        """Whether it does what one of them has to do."""
        return not any(other.replica_id < self.id for other in self.others)

    async def open(
        self,
        take_over: Callable[[str | None], Awaitable[object]],
        give_up: Callable[[], object],
        renewed: Callable[[], object],
    ) -> None:
        """Begin.

        `take_over` is called with the id of a replica that is dead, with None for what is held by
        none that is known. `give_up` is called when others have taken this one for dead, `renewed`
        each time that it has shown that it lives.
        """
        await take_over(None)

    async def stop_beginning(self) -> None:
        """Have the others know that this one begins no more runs."""

    async def close(self) -> None:
        """End; it holds nothing any more."""


class SharedMembership(Membership):
    """One of several replicas on a PostgreSQL database."""

    def __init__(
        self,
        db: Database,
        revision: str = "",
        *,
        on_new_revision: str = "same",
        slots: int = 1,
        lease: float = 30.0,
    ) -> None:
        """Take a database; `lease` is in seconds.

        `slots` is how many runs are carried out here at a time.
        """
        super().__init__(revision, on_new_revision)
        self._slots = slots
        self._started_at: str | None = None
        self._db = db
        self._lease = lease
        self._beat = min(BEAT, lease / 3)
        self._lock: int | None = None
        self._missing: dict[str, float] = {}
        """Replicas that are without their locks, and since when."""
        self._taking: dict[str, asyncio.Future[Any]] = {}
        """Replicas that are being taken over from."""
        self._task: asyncio.Task[None] | None = None
        self._take_over: Callable[[str | None], Awaitable[object]] = _take_nothing
        self._give_up: Callable[[], object] = bool
        self._renewed: Callable[[], object] = bool
        self._is_lost = False
        self._renewed_at = 0.0

    @property
    def has_others(self) -> bool:
        """Whether there may be others."""
        return True

    @property
    def has_lease(self) -> bool:
        """Whether others have to take it for alive."""
        return not self._is_lost

    async def open(
        self,
        take_over: Callable[[str | None], Awaitable[object]],
        give_up: Callable[[], object],
        renewed: Callable[[], object],
    ) -> None:
        """Begin."""
        self._take_over, self._give_up, self._renewed = take_over, give_up, renewed
        await self._register(self.id)
        await take_over(None)
        # Of those that are not connected nobody is waited for: this one begins.
        await self._look(0.0)
        self._task = asyncio.create_task(self._go_on(), name="millstream-membership")

    async def stop_beginning(self) -> None:
        """Have the others know that this one begins no more runs."""
        self._slots = 0
        await self._db.write(rows.stop_beginning, self.id)

    async def close(self) -> None:
        """End; it holds nothing any more."""
        tasks: list[asyncio.Future[Any]] = list(self._taking.values())
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        with suppress(Exception):  # the lease ends by itself
            await self._db.write(rows.leave, self.id)

    async def hold_lock(self, connection: Any) -> None:
        """Show by a connection to the server of the database that this process lives.

        No pooler may be in between: its own connection goes on when this process has ended.
        """
        lock = self._lock
        if lock is None:
            lock = random.randrange(1, 2**31)
        # Shared: a connection before may not be known to have ended.
        await connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (rows.LOCKS, lock))
        if self._lock is None:
            noted: str | None = None
            while noted != self.id:  # it may have become another replica meanwhile
                noted = self.id
                await self._db.write(rows.note_lock, noted, lock)
            # What could not be noted is noted with the next connection.
            self._lock = lock

    async def _register(self, id: str) -> None:
        name = f"{socket.gethostname()} {os.getpid()}"
        asked_at = time.monotonic()
        self._started_at = await self._db.write(
            rows.register,
            id,
            name,
            self._lease,
            revision=self.revision,
            slots=self._slots,
            started_at=self._started_at,
        )
        # Only now may it hold anything: what is held by nobody that is known is taken over.
        self.id, self._renewed_at, self._is_lost = id, asked_at, False
        if self._lock is not None:
            await self._db.write(rows.note_lock, id, self._lock)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._beat)
            try:
                await self._look(MISSED)
                self._renewed()
            except Exception as error:
                # Who is not seen may be there.
                self._missing.clear()
                logger.warning("the lease of this server cannot be renewed: %s", error)
                self._lose_in_time()

    async def _look(self, patience: float) -> None:
        """Renew the lease, see who is dead, and take over what they held."""
        asked_at = time.monotonic()
        renewing = asyncio.ensure_future(self._db.write(rows.renew, self.id, self._lease))
        try:
            while not renewing.done():
                await asyncio.wait([renewing], timeout=self._beat)
                self._lose_in_time()
        finally:
            renewing.cancel()
        look = renewing.result()
        self.others = look.others
        if not look.is_known:
            await self._begin_anew()
            return
        self._renewed_at, self._is_lost = asked_at, False
        for dead in self._dead(look, patience):
            if dead.replica_id not in self._taking:
                logger.warning("server %s is gone: what it held is taken over", dead.name)
                self._begin_to_take(dead.replica_id)

    def _begin_to_take(self, dead: str) -> None:
        """Have what a replica held taken over while the lease of this one is renewed."""
        taking = asyncio.ensure_future(self._take_over(dead))
        self._taking[dead] = taking

        def note(done: asyncio.Future[Any]) -> None:
            del self._taking[dead]
            error = None if done.cancelled() else done.exception()
            if error is not None:
                logger.error("what server %s held is not taken over", dead, exc_info=error)

        taking.add_done_callback(note)

    def _dead(self, look: Look, patience: float) -> list[Member]:
        now = time.monotonic()
        missing = {
            other.replica_id: self._missing.get(other.replica_id, now)
            for other in look.others
            if other.is_connected is False and look.uptime > FRESH
        }
        self._missing = missing
        return [
            other
            for other in look.others
            if other.is_over
            or (other.replica_id in missing and now - missing[other.replica_id] >= patience)
        ]

    def _lose_in_time(self) -> None:
        """Give up what is held when others may take it: they do not wait longer."""
        if not self._is_lost and time.monotonic() - self._renewed_at >= self._lease:
            self._is_lost = True
            logger.error("the lease of this server is over: what it carries out is given up")
            self._give_up()

    async def _begin_anew(self) -> None:
        """Be another replica: what this one held was taken over."""
        logger.error("others have taken this server for dead, and have taken over its runs")
        self._give_up()
        await self._register(str(uuid7()))


async def _take_nothing(_: str | None) -> None:
    """Take over nothing: it has not begun."""
