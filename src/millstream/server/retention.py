"""Threads that nobody touches any more: deleted, or left with their newest checkpoint."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.server.clock import Chore, Clock, stamp
from millstream.server.config import TtlConfig
from millstream.server.deletion import delete_thread
from millstream.server.storage import threads

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.runs.scheduler import Scheduler
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")


class Retention(Chore):
    """Looks every few minutes for threads that are over."""

    def __init__(
        self,
        db: Database,
        scheduler: Scheduler,
        run_loop: RunLoop,
        journal: BaseCheckpointSaver[Any],
        clock: Clock,
        ttl: TtlConfig | None,
    ) -> None:
        super().__init__("millstream-retention", clock)
        self.db = db
        self.scheduler = scheduler
        self.run_loop = run_loop
        self.journal = journal
        self._ttl = ttl or TtlConfig()

    async def do(self) -> datetime:
        """See to the threads that are over; return when to look again."""
        time = stamp(self.clock.now())
        if self.scheduler.is_first:
            for thread in await self.db.write(threads.expired, time, self._ttl.sweep_limit):
                await self._try_to_see_to(thread, time)
        return self.clock.now() + timedelta(minutes=self._ttl.sweep_interval_minutes)

    async def _try_to_see_to(self, thread: threads.Expired, time: str) -> None:
        try:
            await self._see_to(thread, time)
        except Exception:
            # The others are over too; this one is tried again.
            logger.exception("thread %s is over, and cannot be removed", thread.thread_id)

    async def _see_to(self, thread: threads.Expired, time: str) -> None:
        if thread.strategy == "delete":
            await delete_thread(self, thread.thread_id)
        else:
            await self.run_loop.call(self.journal.aprune([thread.thread_id]))
            await self.db.write(threads.live_on, thread.thread_id, time)
