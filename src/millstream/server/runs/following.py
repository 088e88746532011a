"""`Following`: runs that another replica holds, for those who read them here or wait for them.

The holder stores what it knows, and rings; here rows are looked at. Whoever reads or waits keeps no
connection, and there is one query for all of them however many ring.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any

from millstream.server.doorbell.news import RUN
from millstream.server.runs.looking import Looking
from millstream.server.storage import following as rows

if TYPE_CHECKING:
    from millstream.server.doorbell.news import News
    from millstream.server.doorbell.rings import Rings
    from millstream.server.log.hub import Logs
    from millstream.server.replicas.membership import Membership
    from millstream.server.runs.results import Results
    from millstream.server.storage.database import Database
    from millstream.server.storage.following import Followed


class Following:
    """Follows runs in rows, those of which somebody wants to know here. In the loop that serves.

    A server that is alone follows none: what goes on, goes on here.
    """

    def __init__(
        self,
        db: Database,
        logs: Logs,
        results: Results,
        membership: Membership,
        bell: Rings,
        *,
        is_here: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Make one; `is_here` says whether a run is carried out by this replica."""
        self._db = db
        self._logs = logs
        self._results = results
        self._membership = membership
        self._bell = bell
        self._is_here = is_here
        self._looking = Looking(self._look, spawn)
        self._threads: dict[str, str] = {}
        """The runs that are followed, and their threads."""

    def add(self, run_id: str, thread_id: str) -> None:
        """Follow a run of which it is known that it is stored, if anybody wants that here."""
        if not self._membership.has_others or self._is_here(run_id):
            return
        if self._results.are_awaited(run_id) or self._logs.get(run_id) is not None:
            self._threads[run_id] = thread_id
            # It may have ended before anybody was told that it is followed.
            self._looking.at([run_id])

    async def begin(self, run_id: str, thread_id: str) -> bool:
        """Have the holder of a run store what is wanted here, and follow it; False if it has ended.

        Whoever wants it is there by now.
        """
        if not self._membership.has_others or self._is_here(run_id):
            return True
        is_new = await self._db.write(rows.follow, run_id)
        if is_new is None:
            return False
        if is_new:
            self._bell.ring(RUN, run_id)
        self.add(run_id, thread_id)
        return True

    async def wait(self, run_id: str) -> bool:
        """Wait for the end of a run elsewhere; False if it has ended, and else one asks again."""
        if not self._membership.has_others:
            return False
        # Before one looks: it may end meanwhile.
        ended = self._results.expect(run_id)
        try:
            row = (await self._db.read(rows.states, [run_id])).get(run_id)
            if row is None or not row.is_under_way:
                return False
            if not self._is_here(run_id):
                self.add(run_id, row.thread_id)
                await ended
        finally:
            ended.cancel()
        return True

    def hear(self, news: News) -> None:
        """See to what other replicas have rung for."""
        ids = news.ids(RUN)
        self._looking.at(self._threads if ids is None else ids & self._threads.keys())

    def look_at_all(self) -> None:
        """Look at all, as rings may have been missed."""
        self._looking.at(self._threads)

    def close(self) -> None:
        """Follow none any more."""
        self._looking.close()
        self._threads.clear()

    async def _look(self, run_ids: Collection[str]) -> None:
        wanted = [run_id for run_id in run_ids if self._is_wanted(run_id)]
        if not wanted:
            return
        found = await self._db.read(rows.states, wanted)
        for run_id in wanted:
            # It may have been begun here meanwhile.
            if self._is_wanted(run_id):
                await self._take(run_id, found.get(run_id))

    def _is_wanted(self, run_id: str) -> bool:
        """Say whether a run is followed still; else it is so no more."""
        if self._is_here(run_id):
            # Whoever wants it is told here.
            self._threads.pop(run_id, None)
        return run_id in self._threads

    async def _take(self, run_id: str, row: Followed | None) -> None:
        """Take note how a run stands, None if it is not there any more."""
        if row is not None and row.is_under_way:
            return
        result = None if row is None else row.result
        if result is None:
            result = await self._results.known(run_id)
        thread_id = self._threads.pop(run_id, None)
        if thread_id is not None:
            self._logs.close(run_id, thread_id)
            self._results.resolve(run_id, result)
