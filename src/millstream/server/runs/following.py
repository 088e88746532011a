"""`Following`: runs that another replica holds, for those who read them here or wait for them.

The holder stores what it knows, and rings; here rows are looked at. Whoever reads or waits keeps no
connection, and there is one query for all of them however many ring. What is read goes into a log
as that of a run that is carried out here, so readers do not know the difference; and when this
replica goes on with the run, its log goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, Final

from millstream.server.doorbell.news import RUN
from millstream.server.runs.looking import Looking
from millstream.server.storage import events
from millstream.server.storage import following as rows

if TYPE_CHECKING:
    from millstream.server.doorbell.news import News
    from millstream.server.doorbell.rings import Rings
    from millstream.server.log.event_ids import EventId
    from millstream.server.log.hub import Logs
    from millstream.server.log.run_log import Entry, RunLog
    from millstream.server.replicas.membership import Membership
    from millstream.server.runs.results import Results
    from millstream.server.storage.database import Database
    from millstream.server.storage.following import Followed
    from millstream.server.storage.run_records import Job

PATIENCE: Final = 1.0
"""Seconds for which the holder of a run is waited for to say how far it has come."""


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
        self._joining: dict[str, set[_Joining]] = {}
        """Of which runs it is waited for how far they have come."""
        self._together = rows.FEWEST
        """How many events are read in one query."""
        self._is_closed = False

    def add(self, run_id: str, thread_id: str) -> None:
        """Follow a run of which it is known that it is stored, if anybody wants that here."""
        if not self._membership.has_others or self._is_here(run_id):
            return
        if self._is_wanted(run_id, thread_id):
            self._threads[run_id] = thread_id
            # It may have ended before anybody was told that it is followed.
            self._looking.at([run_id])

    async def begin(self, run_id: str, thread_id: str) -> bool:
        """Have the holder of a run store what is wanted here, and follow it; False if it has ended.

        Whoever wants it is there by now.
        """
        if not self._membership.has_others or self._is_here(run_id):
            return True
        noted = await self._db.write(rows.follow, run_id)
        if noted is None:
            return False
        if noted[1]:
            self._bell.ring(RUN, run_id)
        self.add(run_id, thread_id)
        return True

    async def join(self, run_id: str, thread_id: str) -> EventId | None:
        """Return how far a run has come that others may be carrying out; None if it has ended.

        Whoever opens its log there and follows it with `add` misses nothing.
        """
        noted = await self._db.write(rows.follow, run_id)
        if noted is None:
            return None
        run, is_new = noted
        if is_new:
            self._bell.ring(RUN, run_id)
        if run.status == "running" and (is_new or not run.shown) and not self._is_here(run_id):
            await self._joined(run_id, thread_id, run.shown)
        return await self._db.read(rows.place, run_id)

    async def _joined(self, run_id: str, thread_id: str, shown: int) -> None:
        """Wait until the holder of a run has said how far it has come."""
        joining = _Joining(shown)
        self._joining.setdefault(run_id, set()).add(joining)
        self.add(run_id, thread_id)
        try:
            await asyncio.wait([joining.over], timeout=PATIENCE)
        finally:
            joining.over.cancel()
            self._joining[run_id].discard(joining)
            if not self._joining[run_id]:
                del self._joining[run_id]

    def end(self, run_id: str, thread_id: str) -> None:
        """Have the log of a run come to its end, of which it is known that it has ended."""
        if self._membership.has_others and not self._is_here(run_id):
            # What it has said last is read first.
            self.add(run_id, thread_id)
        else:
            self._logs.close(run_id, thread_id)

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

    async def hand_over(self, log: RunLog, job: Job) -> None:
        """Have the log of a run that begins here go on behind what others have said of it."""
        if not self._membership.has_others:
            return
        log.go_on()
        await self.catch_up(job.thread_id)
        while log.last < job.last[1]:
            most = self._together
            found = await self._db.read(events.read_from, job.run_id, log.last, most)
            self._note_size(found, is_whole=len(found) < most)
            log.take(found)
            if not found:
                break

    async def catch_up(self, thread_id: str) -> None:
        """Read what is left of runs of a thread, of which another one begins."""
        left = [log.run_id for log in self._logs.of_thread(thread_id)]
        if any(run_id in self._threads for run_id in left):
            await self._look(left)

    def stay(self, log: RunLog, thread_id: str) -> bool:
        """Have a run followed that another replica has taken; False if nobody reads it here.

        Its readers have seen what is stored, and go on behind that.
        """
        if not self._membership.has_others or self._is_closed or not log.is_resumable:
            return False
        log.go_back()
        self.add(log.run_id, thread_id)
        return self._logs.get(log.run_id) is log

    def hear(self, news: News) -> None:
        """See to what other replicas have rung for."""
        ids = news.ids(RUN)
        self._looking.at(self._threads if ids is None else ids & self._threads.keys())

    def look_at_all(self) -> None:
        """Look at all, as rings may have been missed."""
        self._looking.at(self._threads)

    def close(self) -> None:
        """Follow none any more."""
        self._is_closed = True
        self._looking.close()
        self._threads.clear()

    async def _look(self, run_ids: Collection[str]) -> None:
        wanted = [run_id for run_id in run_ids if self._is_followed(run_id)]
        logs = {run_id: log for run_id in wanted if (log := self._logs.get(run_id)) is not None}
        if not wanted:
            return
        places = {run_id: log.last for run_id, log in logs.items()}
        news = await self._db.read(rows.news, wanted, places, self._together)
        told = [entry for entries in news.events.values() for entry in entries]
        self._note_size(told, is_whole=news.is_whole)
        for run_id in wanted:
            # It may have been begun here meanwhile.
            if self._is_followed(run_id):
                said = news.events.get(run_id, ())
                await self._take(run_id, news.runs.get(run_id), said, is_whole=news.is_whole)
        if not news.is_whole:
            self._looking.at(wanted)

    def _note_size(self, told: Collection[Entry], *, is_whole: bool) -> None:
        size = sum(len(entry.frame) for entry in told)
        self._together = rows.together(self._together, size, is_whole=is_whole)

    async def _take(
        self, run_id: str, row: Followed | None, told: Collection[Entry], *, is_whole: bool
    ) -> None:
        """Take note how a run stands, None if it is not there any more, and what it has said."""
        log = self._logs.get(run_id)
        if log is not None and told:
            log.take(told)
        for joining in self._joining.get(run_id, ()):
            joining.note(row)
        if (row is not None and row.is_under_way) or not is_whole:
            return
        result = None if row is None else row.result
        if result is None:
            result = await self._results.known(run_id)
        thread_id = self._threads.pop(run_id, None)
        if thread_id is not None:
            self._logs.close(run_id, thread_id)
            self._results.resolve(run_id, result)

    def _is_followed(self, run_id: str) -> bool:
        """Say whether a run is followed still; else it is so no more."""
        thread_id = self._threads.get(run_id)
        if thread_id is None:
            return False
        # Whoever wants it is told here if it is carried out here.
        if self._is_here(run_id) or not self._is_wanted(run_id, thread_id):
            del self._threads[run_id]
            return False
        return True

    def _is_wanted(self, run_id: str, thread_id: str) -> bool:
        """Say whether anybody wants to know of a run elsewhere; a log that nobody reads goes."""
        self._logs.let_go(run_id, thread_id)
        return (
            self._logs.get(run_id) is not None
            or self._results.are_awaited(run_id)
            or run_id in self._joining
        )


class _Joining:
    """Who waits for how far a run has come."""

    def __init__(self, shown: int) -> None:
        """Take how far it had come when its holder was not known to say it."""
        self._shown = shown
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(self, row: Followed | None) -> None:
        """Take note how the run stands."""
        is_known = row is None or row.status != "running" or row.shown > self._shown
        if is_known and not self.over.done():
            self.over.set_result(None)
