"""The lease of this replica, and who has none any more: what they held is taken over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from millstream.server.replicas.membership import Membership
    from millstream.server.storage.replicas import Look, Member

logger = logging.getLogger("millstream.server")

BEAT: Final = 2.0
"""Seconds between two renewals of a lease at most."""
MISSED: Final = 3.0
"""Seconds that a replica may be without its connection: it makes another one sooner."""
FRESH: Final = 10.0
"""Seconds after the start of a database in which nobody is taken for dead by that."""


class Lease:
    """Renews the lease of a replica, and takes over from others. In the event loop that serves."""

    def __init__(
        self,
        membership: Membership,
        *,
        take_over: Callable[[str | None], Awaitable[object]],
        give_up: Callable[[], object],
        renewed: Callable[[], object],
    ) -> None:
        """Take a replica that is not known to others yet.

        `take_over` is called with the id of a replica that is dead, with None for what is held by
        none that is known. `give_up` is called when others may take this one for dead, or have done
        so, `renewed` each time that it has shown that it lives.
        """
        self._membership = membership
        self._take_over = take_over
        self._give_up = give_up
        self._renewed = renewed
        self._beat = min(BEAT, membership.seconds / 3)
        self._missing: dict[str, float] = {}
        """Replicas that are without their locks, and since when."""
        self._taking: dict[str | None, asyncio.Future[Any]] = {}
        """Replicas that are being taken over from; None for what nobody holds that is known."""
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin: be known, and take over what was left."""
        await self._membership.join()
        await self._take_over(None)
        if self._membership.has_others:
            # Of those that are not connected nobody is waited for: this one begins.
            await self._look(patience=0.0)
            self._task = asyncio.create_task(self._go_on(), name="millstream-lease")

    async def close(self) -> None:
        """End it: what is still held is for others."""
        tasks: list[asyncio.Future[Any]] = list(self._taking.values())
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._membership.leave()

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
        renewing = asyncio.ensure_future(self._membership.renew())
        try:
            while not renewing.done():
                await asyncio.wait([renewing], timeout=self._beat)
                self._lose_in_time()
        finally:
            renewing.cancel()
        look = renewing.result()
        if not look.is_known:
            logger.error("others have taken this server for dead, and have taken over its runs")
            self._give_up()
            await self._membership.join()
            return
        for dead in self._dead(look, patience):
            if dead.replica_id not in self._taking:
                logger.warning("server %s is gone: what it held is taken over", dead.name)
                self._begin_to_take(dead.replica_id)
        if look.is_something_left and not self._taking:
            # It was begun while its holder was taken for dead, or could not be put back.
            self._begin_to_take(None)

    def _begin_to_take(self, dead: str | None) -> None:
        """Have taken over while the lease of this one is renewed what a replica held, or nobody."""
        taking = asyncio.ensure_future(self._take_over(dead))
        self._taking[dead] = taking

        def note(done: asyncio.Future[Any]) -> None:
            del self._taking[dead]
            error = None if done.cancelled() else done.exception()
            if error is not None:
                held_by = "nobody that is known" if dead is None else f"server {dead}"
                logger.error("what %s held is not taken over", held_by, exc_info=error)

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
        if self._membership.lose_in_time():
            logger.error("the lease of this server is over: what it carries out is given up")
            self._give_up()
