"""`Elsewhere`: what this replica has to do with others that share its database.

They want something of the runs that are carried out here (`holding`), and those that they carry out
are read here (`following`, `thread_following`). A server that is alone has nothing to do with any.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from millstream.server.doorbell.news import PUT_OFF, QUEUE, RUN, STATE, THREAD
from millstream.server.runs.following import Following
from millstream.server.runs.holding import Holding
from millstream.server.runs.thread_following import ThreadFollowing
from millstream.server.storage import thread_readers

if TYPE_CHECKING:
    from millstream.server.doorbell.news import News
    from millstream.server.doorbell.rings import Rings
    from millstream.server.log.hub import Logs
    from millstream.server.replicas.membership import Membership
    from millstream.server.runs.active import ActiveRun
    from millstream.server.runs.results import Results
    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.storage.database import Database
    from millstream.server.storage.run_records import Job

UNHEARD: Final = 5
"""After how many renewals of the lease everything is looked at, also while the doorbell is heard:
who had to ring may have died before."""


class Elsewhere:
    """What goes on elsewhere, and what others want of what goes on here."""

    def __init__(
        self,
        db: Database,
        logs: Logs,
        results: Results,
        membership: Membership,
        bell: Rings,
        run_loop: RunLoop,
        active: Mapping[str, ActiveRun],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Take the runs that are carried out here, as they come and go."""
        self._db = db
        self._membership = membership
        self._bell = bell
        self._logs = logs
        self._results = results
        self._active = active
        self._holding = Holding(db, run_loop, active, spawn)
        here: dict[str, Any] = {"is_here": active.__contains__, "spawn": spawn}
        self.following: Final = Following(db, logs, results, membership, bell, **here)
        """Runs of others that are read here, or waited for."""
        self.threads: Final = ThreadFollowing(db, logs, membership, self.following, **here)
        """Threads that are read here."""
        self._renewals = 0
        self._had_others = False

    @property
    def replica(self) -> str | None:
        """The name of this replica, None if it is alone."""
        return self._membership.id if self._membership.has_others else None

    def is_read(self, run_id: str) -> bool:
        """Say whether a run is read here, or waited for; from any thread."""
        return self._logs.get(run_id) is not None or self._results.are_awaited(run_id)

    def hear(self, news: News) -> None:
        """See to what other replicas have rung for."""
        for each in (self._holding, self.following, self.threads):
            each.hear(news)

    def look(self) -> bool:
        """Look at what others may have rung for in vain, now that the lease was renewed.

        Return whether it is time for that.
        """
        self._renewals += 1
        if self._membership.others and not self._had_others:
            # One that has come since nobody was rung for may have looked before.
            for kind in (QUEUE, PUT_OFF, RUN, THREAD):
                self._bell.ring(kind)
        self._had_others = bool(self._membership.others)
        is_time = not self._bell.is_listening or self._renewals % UNHEARD == 0
        if is_time:
            for each in (self._holding, self.following, self.threads):
                each.look_at_all()
        return is_time

    def began(self, job: Job) -> None:
        """Take note that a run is carried out here from now on."""
        if self._membership.has_others:
            self._holding.began(job.run_id)
            if job.is_followed:
                self._bell.ring(THREAD, job.thread_id)

    def tell_state(self, thread_id: str) -> None:
        """Have those told who read a thread elsewhere that its state was changed without a run."""
        self._bell.ring(STATE, thread_id)

    async def want_protocol(self, thread_id: str) -> bool:
        """Say whether the protocol events of a thread are read elsewhere."""
        # Also while no others are known: one may have come since this one has looked.
        if not self._membership.has_others:
            return False
        return await self._db.read(thread_readers.want_protocol, thread_id)

    async def reach(self, run_id: str, thread_id: str) -> None:
        """Have what a run has said so far stored by whoever carries it out, to be read here."""
        if self._membership.has_others and run_id not in self._active:
            await self.following.join(run_id, thread_id)

    async def speaking(self, thread_id: str) -> str | None:
        """Return the run of a thread that another replica carries out; None if none does."""
        if not self._membership.has_others:
            return None
        return await self._db.read(thread_readers.speaking, thread_id)

    def close(self) -> None:
        """Look at nothing any more."""
        for each in (self._holding, self.following, self.threads):
            each.close()
