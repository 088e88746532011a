"""`ThreadFollowing`: threads that are read here, and whose runs other replicas carry out.

That a thread is read stands in a row for each replica where it is; whoever begins a run of it has
what it says stored from its beginning, and rings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from millstream.server.doorbell.news import STATE, THREAD
from millstream.server.log.event_ids import START
from millstream.server.runs.lifecycle import UNDER_WAY
from millstream.server.runs.looking import Looking
from millstream.server.storage import thread_readers as rows

if TYPE_CHECKING:
    from millstream.server.doorbell.news import News
    from millstream.server.log.hub import Logs
    from millstream.server.replicas.membership import Membership
    from millstream.server.runs.following import Following
    from millstream.server.storage.database import Database
    from millstream.server.storage.thread_readers import Seen

AGAIN: Final = 0.5
"""Seconds after which a thread is looked at again that had no runs: one may have been on its way
into the database when it was noted that the thread is read."""


@dataclass(slots=True)
class _Read:
    """A thread that is read here."""

    replica: str
    """In which name that is noted."""
    wants_protocol: bool
    newest: str = ""
    """When its newest run was created."""
    unfinished: set[str] = field(default_factory=set)
    """Its runs that have not begun."""
    seen: set[str] = field(default_factory=set)
    """Those that have, and of which nobody has to be told any more."""


class ThreadFollowing:
    """Follows the runs of threads that are read here. In the loop that serves."""

    def __init__(
        self,
        db: Database,
        logs: Logs,
        membership: Membership,
        following: Following,
        *,
        is_here: Callable[[str], bool],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Make one; `is_here` says whether a run is carried out by this replica."""
        self._db = db
        self._logs = logs
        self._membership = membership
        self._following = following
        self._is_here = is_here
        self._looking = Looking(self._look, spawn)
        self._telling = Looking(self._tell, spawn)
        self.on_state: Callable[[str], Awaitable[object]] | None = None
        """What tells those who read a thread here its state, which was changed elsewhere."""
        self._read: dict[str, _Read] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        """Who waits until it is noted that a thread is read."""
        if membership.has_others:
            logs.on_readers = self._note

    async def ready(self, thread_id: str) -> None:
        """Return when those who read a thread here are told of its runs elsewhere."""
        if not self._membership.has_others or self._is_noted(thread_id):
            return
        noted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(thread_id, set())
        waiting.add(noted)
        self._note(thread_id)
        try:
            await noted
        finally:
            waiting.discard(noted)
            if not waiting and self._waiting.get(thread_id) is waiting:
                del self._waiting[thread_id]

    def hear(self, news: News) -> None:
        """See to what other replicas have rung for."""
        ids = news.ids(THREAD)
        self._looking.at(self._read if ids is None else ids & self._read.keys())
        # It is not known to have been changed whenever something may have been missed.
        changed = frozenset() if news.is_everything else news.ids(STATE)
        self._telling.at(self._read if changed is None else changed & self._read.keys())

    def look_at_all(self) -> None:
        """Look at all, as rings may have been missed."""
        self._looking.at(self._read)

    def close(self) -> None:
        """Follow none any more."""
        self._looking.close()
        self._telling.close()
        for waiting in self._waiting.values():
            for noted in waiting:
                noted.cancel()

    def _note(self, thread_id: str) -> None:
        """Take note that somebody reads a thread, or does so no more."""
        self._looking.at([thread_id])

    def _is_read(self, thread_id: str) -> bool:
        return self._logs.is_read(thread_id) or self._logs.is_watched(thread_id)

    def _is_noted(self, thread_id: str) -> bool:
        known = self._read.get(thread_id)
        return (
            known is not None
            and known.replica == self._membership.id
            and (known.wants_protocol or not self._logs.is_watched(thread_id))
        )

    async def _look(self, thread_ids: Collection[str]) -> None:
        try:
            await self._leave([id for id in thread_ids if not self._is_read(id)])
            new = [id for id in thread_ids if self._is_read(id) and not self._is_noted(id)]
            await asyncio.gather(*map(self._enter, new))
            await self._look_at([id for id in thread_ids if id in self._read])
        except Exception as error:
            for noted in self._waiting_for(thread_ids):
                noted.set_exception(error)
            raise
        for noted in self._waiting_for(thread_ids):
            noted.set_result(None)

    async def _tell(self, thread_ids: Collection[str]) -> None:
        for thread_id in thread_ids:
            if self.on_state is not None and self._logs.is_read(thread_id):
                await self.on_state(thread_id)

    def _waiting_for(self, thread_ids: Collection[str]) -> list[asyncio.Future[None]]:
        found = [noted for id in thread_ids for noted in self._waiting.get(id, ())]
        return [noted for noted in found if not noted.done()]

    async def _leave(self, thread_ids: Collection[str]) -> None:
        left = {id: self._read.pop(id) for id in thread_ids if id in self._read}
        if not left:
            return
        try:
            await self._db.write(rows.remove, list(left), self._membership.id)
        except Exception:
            # It is still noted, and is taken back when all are looked at.
            self._read.update(left)
            raise

    async def _enter(self, thread_id: str) -> None:
        """Note that a thread is read, and follow the run that goes on in it from where it is."""
        replica, wants_protocol = self._membership.id, self._logs.is_watched(thread_id)
        found = await self._db.write(rows.add, thread_id, replica, wants_protocol=wants_protocol)
        before = self._read.get(thread_id)
        if before is not None:
            before.replica, before.wants_protocol = replica, wants_protocol
            return
        read = _Read(replica, wants_protocol, found.newest, set(found.unfinished))
        for run in await self._db.read(rows.runs_of, {thread_id: found}):
            if not _is_waiting(run):
                await self._join(read, run)
        self._read[thread_id] = read
        if not found.newest:
            asyncio.get_running_loop().call_later(AGAIN, self._note, thread_id)

    async def _join(self, read: _Read, run: Seen) -> None:
        """Follow a run that had begun before anybody was there for it."""
        read.seen.add(run.run_id)
        if run.status not in UNDER_WAY or not self._is_others(run):
            return
        place = await self._following.join(run.run_id, run.thread_id)
        if place is not None:
            self._open(run, place)

    async def _look_at(self, thread_ids: Collection[str]) -> None:
        """See which runs have begun."""
        known = {
            id: rows.Known(tuple(read.unfinished), read.newest)
            for id in thread_ids
            if (read := self._read.get(id)) is not None
        }
        if not known:
            return
        found = await self._db.read(rows.runs_of, known)
        of_threads: dict[str, list[Seen]] = {id: [] for id in known}
        for run in found:
            of_threads[run.thread_id].append(run)
        for thread_id, there in of_threads.items():
            read = self._read[thread_id]
            for run in there:
                if not _is_waiting(run) and run.run_id not in read.seen:
                    read.seen.add(run.run_id)
                    await self._follow(run)
            read.unfinished = {run.run_id for run in there if _is_waiting(run)}
            read.seen &= {run.run_id for run in there}
            read.newest = max(read.newest, *(run.created_at for run in there), "")

    async def _follow(self, run: Seen) -> None:
        """Follow a run from its beginning, which may have come to its end."""
        if not self._is_others(run) or not (run.is_followed or run.status in UNDER_WAY):
            return
        # What runs of a thread say comes one after the other.
        await self._following.catch_up(run.thread_id)
        self._open(run, START)
        if not run.is_followed and not await self._following.begin(run.run_id, run.thread_id):
            self._logs.close(run.run_id, run.thread_id)

    def _is_others(self, run: Seen) -> bool:
        """Say whether a run is not carried out here, and was not."""
        return not self._is_here(run.run_id) and run.holder != self._membership.id

    def _open(self, run: Seen, place: tuple[int, int]) -> None:
        self._logs.open(run.run_id, run.thread_id, is_resumable=run.is_resumable, last=place)
        self._following.add(run.run_id, run.thread_id)


def _is_waiting(run: Seen) -> bool:
    """Say whether a run has not begun."""
    return run.status == "pending" and not run.attempt
