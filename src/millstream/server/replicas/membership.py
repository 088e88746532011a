"""This replica among those that share a database: what it is called, and what it knows of others.

Each renews its lease every few seconds, in rows and by the clock of the database. One that is
connected has a lock, which the database lets go of when its connection ends: so the death of a
process is seen in seconds, and a process that was stopped, or cannot reach the database, when its
lease is over. `lease` sees to that; here is what all others ask.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from langchain_core.utils.uuid import uuid7

from millstream.server.storage import replicas as rows
from millstream.server.storage.run_records import Holder

if TYPE_CHECKING:
    from millstream.server.storage.database import Database
    from millstream.server.storage.replicas import Look, Member

ALONE: Final = rows.Look(is_known=True, others=(), uptime=0.0)
"""What a replica sees that is alone."""


class Membership:
    """A replica that is alone. Used in the event loop that serves."""

    has_others = False
    """Whether there may be others."""
    seconds = float("inf")
    """For how long others take it for alive that has not renewed its lease."""

    def __init__(self, revision: str = "", on_new_revision: str = "same") -> None:
        self.id = str(uuid7())
        """What it holds is held in this name."""
        self.revision: Final = revision
        self.on_new_revision: Final = on_new_revision
        """With which of the runs that others have begun it goes on, see `runs.revisions`."""
        self.others: Sequence[Member] = ()
        """Those that were there when it looked last."""

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

    async def join(self) -> None:
        """Be known to the others, as another one if it was known before."""

    async def renew(self) -> Look:
        """Renew its lease, and look at the others."""
        return ALONE

    def lose_in_time(self) -> bool:
        """Take note that its lease is over, when others may take what it holds; say whether."""
        return False

    async def stop_beginning(self) -> None:
        """Have the others know that this one begins no more runs."""

    async def leave(self) -> None:
        """Be known no more; what it holds is for the others."""


class SharedMembership(Membership):
    """One of several replicas on a PostgreSQL database."""

    has_others = True

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
        self.seconds = lease
        self._db = db
        self._slots = slots
        self._started_at: str | None = None
        """None until it is known."""
        self._lock: int | None = None
        self._is_lost = False
        self._renewed_at = 0.0

    @property
    def has_lease(self) -> bool:
        """Whether others have to take it for alive."""
        return not self._is_lost

    async def join(self) -> None:
        """Be known to the others, as another one if it was known before."""
        id = self.id if self._started_at is None else str(uuid7())
        name = f"{socket.gethostname()} {os.getpid()}"
        asked_at = time.monotonic()
        self._started_at = await self._db.write(
            rows.register,
            id,
            name,
            self.seconds,
            revision=self.revision,
            slots=self._slots,
            started_at=self._started_at,
        )
        # Only now may it hold anything: what is held by nobody that is known is taken over.
        self.id, self._renewed_at, self._is_lost = id, asked_at, False
        if self._lock is not None:
            await self._db.write(rows.note_lock, id, self._lock)

    async def renew(self) -> Look:
        """Renew its lease, and look at the others."""
        asked_at = time.monotonic()
        look = await self._db.write(rows.renew, self.id, self.seconds)
        self.others = look.others
        if look.is_known:
            self._renewed_at, self._is_lost = asked_at, False
        return look

    def lose_in_time(self) -> bool:
        """Take note that its lease is over, when others may take what it holds; say whether."""
        if self._is_lost or time.monotonic() - self._renewed_at < self.seconds:
            return False
        self._is_lost = True
        return True

    async def stop_beginning(self) -> None:
        """Have the others know that this one begins no more runs."""
        self._slots = 0
        await self._db.write(rows.stop_beginning, self.id)

    async def leave(self) -> None:
        """Be known no more; what it holds is for the others."""
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
