"""What runs have said is forgotten when nobody comes back for it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from millstream.server.clock import stamp
from millstream.server.runs.recovery import delete_all_remains
from millstream.server.storage import events, runs

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.storage.database import Database


class Forgetting:
    """Sweeps some time after the ends of runs, and only then."""

    def __init__(
        self,
        db: Database,
        run_loop: RunLoop,
        saver: BaseCheckpointSaver[Any],
        retention: float,
        spawn: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        """Make one; `retention` is in seconds, `spawn` starts a task that its owner waits for."""
        self._db = db
        self._run_loop = run_loop
        self._saver = saver
        self._retention = retention
        self._spawn = spawn
        self._timer: asyncio.TimerHandle | None = None
        self._sweeps_again = False
        self._is_closed = False

    def later(self) -> None:
        """Have the events of ended runs forgotten when nobody comes back for them any more."""
        if self._timer is not None:
            # It is too early for what has ended just now.
            self._sweeps_again = True
        elif not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._retention, lambda: self._spawn(self._forget()))

    def close(self) -> None:
        """Forget nothing any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    async def _forget(self) -> None:
        self._timer, sweeps_again, self._sweeps_again = None, self._sweeps_again, False
        before = stamp(self._db.clock.now() - timedelta(seconds=self._retention))
        await self._db.write(runs.forget_temporary, before)
        await self._run_loop.call(delete_all_remains(self._db, self._saver))
        while await self._db.write(events.forget, before):
            sweeps_again = True
        if sweeps_again:
            self.later()
