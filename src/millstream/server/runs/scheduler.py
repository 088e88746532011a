"""Which runs are carried out, and what happens around them. In the loop that serves.

A run starts when its thread is free, its time has come and there is a slot. Rows say what there is
to do; this process only knows what it does. So it can end at any moment, and the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from millstream.server.doorbell.news import PUT_OFF, QUEUE, RUN
from millstream.server.encryption.context import enter_context
from millstream.server.log_lines import enter_run, log_run
from millstream.server.replicas.lease import Lease
from millstream.server.runs.active import ActiveRun
from millstream.server.runs.changes import Changes
from millstream.server.runs.draining import unread
from millstream.server.runs.elsewhere import Elsewhere
from millstream.server.runs.forgetting import Forgetting
from millstream.server.runs.lifecycle import RunInput
from millstream.server.runs.recovery import delete_remains, end_changes, forget_unstored
from millstream.server.runs.results import Results
from millstream.server.runs.runner import NOTHING, Carried, Runner, failed
from millstream.server.runs.starting import Starting
from millstream.server.storage import attempts, replicas, runs
from millstream.server.storage.attempts import TakenOverError
from millstream.server.storage.replicas import LeftRun
from millstream.server.storage.run_records import End, Finished

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.server.doorbell.news import News
    from millstream.server.doorbell.rings import Rings
    from millstream.server.log.hub import Logs
    from millstream.server.metrics import Metrics
    from millstream.server.replicas.membership import Membership
    from millstream.server.runs.requests import Plan
    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.storage.containment import Filters
    from millstream.server.storage.database import Database
    from millstream.server.storage.run_records import Cancelled, Created, Job

logger = logging.getLogger("millstream.server")

RETRY: Final = 0.5
MAX_RETRY: Final = 30.0
"""Seconds between two tries to store the end of a run, the first time and in the long run."""


class Scheduler:
    """Starts runs, stops them, and tells those who wait how they have ended."""

    def __init__(
        self,
        db: Database,
        run_loop: RunLoop,
        logs: Logs,
        runner: Runner,
        saver: BaseCheckpointSaver[Any],
        membership: Membership,
        bell: Rings,
        *,
        slots: int,
        retention: float,
        grace: float = 5.0,
        metrics: Metrics,
        tell: Callable[[], object] = lambda: None,
    ) -> None:
        """Make one.

        `membership` is this replica's; others hear the `bell`. `slots` is how many runs are carried
        out at a time: with none, others carry them out. `retention` is for how many seconds after
        its end the events of a run can be read again; `tell` is called when webhooks are told.
        """
        self._db = db
        self._run_loop = run_loop
        self._logs = logs
        self._runner = runner
        self._saver = saver
        self._membership = membership
        self._bell = bell
        self._grace = grace
        self._metrics = metrics
        self._tell = tell
        self._active: dict[str, ActiveRun] = {}
        self._next: dict[str, Job] = {}
        """Further attempts at runs of which there still is one here."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False
        self._starting = Starting(
            db, membership, bell, self._active, self._launch, self._spawn, slots=slots
        )
        self.changes: Final = Changes(db, lambda: membership.id, self._starting.start_more)
        """What is done to threads beside their runs."""
        self.results: Final = Results(db, self._follow)
        """Who waits for how runs end."""
        self._forgetting = Forgetting(db, run_loop, saver, retention, self._spawn)
        self.elsewhere: Final = Elsewhere(
            db, logs, self.results, membership, bell, run_loop, self._active, self._spawn
        )
        """What goes on at other replicas."""
        self._lease = Lease(
            membership, take_over=self._take_over, give_up=self.give_up, renewed=self._look
        )

    async def open(self) -> None:
        """Go on with what is stored: what was running, what waits, what was put off."""
        await self._lease.open()
        await self._starting.go_on()
        self._forgetting.later()

    async def _take_over(self, dead: str | None) -> None:
        """Have what a replica held that is dead gone on with, or ended."""
        holder = self._membership.id
        taken = await self._db.write(replicas.take_over, dead, holder)
        if taken is None:  # somebody else does that
            return
        while True:
            try:
                await self._put_back(taken.runs, holder)
                break
            except Exception as error:
                # Nobody else will, as long as this replica lives.
                if not self._db.may_pass(error):
                    raise
                await asyncio.sleep(RETRY)
        left = taken.changes
        await self._run_loop.call(end_changes(self._db, self._saver, self._runner, left, holder))
        self._tell()
        self._metrics.takeovers += dead is not None
        for run in taken.runs:
            self._bell.ring(RUN, run.run_id)
        if dead is not None or taken.runs:
            self._bell.ring(PUT_OFF)
            await self._starting.go_on()
            self._forgetting.later()

    async def _put_back(self, some: Sequence[LeftRun], holder: str) -> None:
        """Have others go on with runs that wait for this replica, with what of them is true."""
        await self._run_loop.call(forget_unstored(self._db, self._saver, some, holder))
        await self._db.write(replicas.put_back, some, holder)

    def hear(self, news: News) -> None:
        """See to what other replicas have rung for."""
        self.elsewhere.hear(news)
        if news.concerns(PUT_OFF):
            self._starting.look()
        elif news.concerns(QUEUE):
            self._starting.start_told()

    def _look(self) -> None:
        """Look at what others may have rung for in vain."""
        if self.elsewhere.look():
            self._starting.look()

    def drain(self) -> None:
        """Start nothing more: what waits is for the next process."""
        self._starting.drain()

    async def hand_over(self) -> None:
        """Have others begin what waits, and go on at once with what nobody reads here."""
        await self._membership.stop_beginning()
        self._bell.ring(PUT_OFF)
        if self._membership.may_hand_over:
            self.give_up(unread(self._active.values(), self._logs, self.results))

    async def wait_idle(self, seconds: float) -> None:
        """Wait until no run is carried out, or it has been so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._active and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def give_up(self, some: Sequence[ActiveRun] | None = None) -> None:
        """Carry out no more runs, or not some of them: another replica takes them for its own."""
        for active in list(self._active.values() if some is None else some):
            self._stop(active, "lease_lost")

    async def close(self) -> None:
        """Stop at the next superstep of each run, at once after a while; others go on later."""
        try:
            await self._stop_all()
        finally:
            # Until here it has to be taken for alive.
            await self._lease.close()

    async def _stop_all(self) -> None:
        self._is_closing = True
        self._starting.close()
        self._forgetting.close()
        self.elsewhere.close()
        self.give_up()
        await self.changes.close(self._grace)
        if self._active:
            await asyncio.wait(self._tasks, timeout=self._grace)
        for active in list(self._active.values()):
            self._run_loop.loop.call_soon_threadsafe(active.kill)
        while self._tasks:  # what was being taken out of the queue has one of its own
            await asyncio.wait(self._tasks)
        self._bell.ring(PUT_OFF)
        self._logs.close_all()
        self.results.close()

    async def submit(
        self,
        assistant_id: str,
        plan: Plan,
        filters: Filters | None = None,
        *,
        create: Callable[..., Created] = runs.create,
    ) -> Created:
        """Store the run that is planned for an assistant, and start it if it can.

        `create` may store something else in the same transaction.
        """
        with self._starting.reserving() as may_start:
            created = await self._db.write(
                create,
                assistant_id,
                plan,
                filters,
                holder=self._membership.holder if may_start else None,
                is_read=self.elsewhere.is_read if self._membership.has_others else None,
            )
        for cancelled in created.superseded:
            self._note_cancelled(cancelled)
        if created.job is not None:
            self._launch(created.job)
        elif created.start_at is not None:
            self._starting.arm(created.start_at)
            self._bell.ring(PUT_OFF)
        elif not may_start:
            self._starting.start_more()
        if created.job is None:
            self.elsewhere.following.add(created.run["run_id"], created.run["thread_id"])
        return created

    async def cancel(
        self,
        by: RunInput,
        filters: Filters | None = None,
        *,
        thread_id: str | None = None,
        run_ids: Sequence[str] | None = None,
        status: str | None = None,
    ) -> Sequence[Cancelled]:
        """Cancel runs, and return those that were under way; a running one stops soon after."""
        cancelled = await self._db.write(
            runs.cancel, by, filters, thread_id=thread_id, run_ids=run_ids, status=status
        )
        for run in cancelled:
            self._note_cancelled(run)
        if not all(run.is_running for run in cancelled):
            # Others of its thread may have waited for one that waited for a slot.
            self._starting.start_more()
        return cancelled

    def cancel_soon(self, run_id: str, by: RunInput = "interrupted") -> None:
        """Cancel a run that nobody reads any more."""
        if not self._is_closing:
            self._spawn(self.cancel(by, run_ids=[run_id]))

    async def stopped(self, run_ids: Sequence[str]) -> None:
        """Wait until runs have ended that were cancelled."""
        for run_id in run_ids:
            while True:
                if run_id in self._active:
                    await self.results.expect(run_id)
                elif not await self.elsewhere.following.wait(run_id):
                    break

    async def running_in(self, thread_id: str) -> str | None:
        """Return the run of a thread that is carried out now, None if none is."""
        for active in self._active.values():
            if active.job.thread_id == thread_id:
                return active.job.run_id
        return await self.elsewhere.speaking(thread_id)

    @property
    def is_first(self) -> bool:
        """Whether this replica does what one of several has to do."""
        return self._membership.is_first

    @property
    def active(self) -> int:
        """How many runs are carried out now."""
        return len(self._active)

    def _launch(self, job: Job) -> None:
        before = self._active.get(job.run_id)
        if before is not None:
            # It was taken out of the queue while this process stood still, or its way was cut.
            self._next[job.run_id] = job
            self._stop(before, "lease_lost")
            return
        log = self._logs.open(
            job.run_id, job.thread_id, is_resumable=job.is_resumable, last=job.last
        )
        log.go_on_after(job.said_ms)
        active = ActiveRun(job, log)
        if job.stop is not None:
            active.stop(job.stop)
        elif self._is_closing:  # it was being taken out of the queue: others go on with it
            active.stop("lease_lost")
        self._active[job.run_id] = active
        self.elsewhere.began(job)
        self._metrics.began(job)
        self._spawn(self._carry_out(active))

    async def _carry_out(self, active: ActiveRun) -> None:
        job = active.job
        enter_context(job.kwargs.get("sealing"))
        enter_run(job)
        carried = Carried(End("lease_lost"))
        next_job = None
        status: str | None = None
        is_stored = False
        try:
            try:
                await self.elsewhere.following.hand_over(active.log, job)
                with self._run_loop.watchdog.watching():
                    carried = await self._run_loop.call(self._runner.carry_out(active))
            except Exception as error:
                logger.exception("run %s cannot be carried out", job.run_id)
                carried = failed(error)
            if carried.end.input == "lease_lost":
                active.give_up()
            active.end()
            finished = await self._finish(active, carried)
            next_job, status = finished.next_job, finished.status
            is_stored = not active.is_given_up or status is not None
            if status == "pending" and carried.end.is_uncertain:
                left = LeftRun(job.run_id, job.thread_id, job.attempt, is_stored=True)
                await self._put_back([left], self._membership.id)
            self._bell.ring(RUN, job.run_id)
            if finished.has_queued or status == "pending":
                self._starting.note_queued()
            if job.kwargs.get("webhook"):
                self._tell()
            if job.is_temporary and finished.status not in (None, "pending"):
                await self._run_loop.call(delete_remains(self._db, self._saver, job.thread_id))
        except Exception:
            logger.exception("the end of run %s cannot be stored", job.run_id)
        finally:
            del self._active[job.run_id]
            if carried.end.input != "lease_lost":
                self._logs.close(job.run_id, job.thread_id, is_stored=is_stored)
                self.results.resolve(job.run_id, carried.result)
            else:  # it ends in another process
                self._leave(active, is_stored=is_stored)
            self._metrics.ended(active, status)
            log_run(active, carried.end, status)
            for following in (next_job, self._next.pop(job.run_id, None)):
                if following is not None:
                    self._launch(following)
            if job.is_resumable or self._membership.has_others:
                self._forgetting.later()
        await self._starting.fill()

    def _leave(self, active: ActiveRun, *, is_stored: bool) -> None:
        """Have those follow a run that read it here, or wait for it."""
        job, following = active.job, self.elsewhere.following
        if not following.stay(active.log, job.thread_id):
            active.log.is_lost = not self._is_closing
            self._logs.close(job.run_id, job.thread_id, is_stored=is_stored)
        if not self._is_closing:
            following.add(job.run_id, job.thread_id)

    async def _finish(self, active: ActiveRun, carried: Carried) -> Finished:
        """Store how a run has ended, when the database can; if it never can, that it failed."""
        job, pause = active.job, RETRY
        while True:
            carried.end.said_ms = active.log.ms
            try:
                return await self._store_end(job, carried)
            except TakenOverError as error:
                logger.warning("run %s is given up: %s", job.run_id, error)
                active.was_refused = True
                carried.end = End("lease_lost")
                active.give_up()
                return Finished(None)
            except Exception as error:
                if self._is_closing or carried.end.is_kept:
                    raise
                logger.error("the end of run %s cannot be stored yet", job.run_id, exc_info=error)
                if not self._db.may_pass(error):
                    # Not the database, but what it was given.
                    failure = failed(error)
                    carried.end, carried.result = failure.end, failure.result
                    carried.end.is_kept = True
                    continue
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_RETRY)

    async def _store_end(self, job: Job, carried: Carried) -> Finished:
        finish = partial(
            runs.finish,
            run_id=job.run_id,
            thread_id=job.thread_id,
            end=carried.end,
            holder=self._membership.holder if self._starting.may_keep_slot else None,
            result=carried.result,
        )
        return await self._db.write(attempts.end, job.run_id, job.thread_id, job.attempt, finish)

    def _note_cancelled(self, cancelled: Cancelled) -> None:
        if cancelled.run_id not in self._active:
            self._bell.ring(RUN, cancelled.run_id)
        if cancelled.is_running:
            active = self._active.get(cancelled.run_id)
            if active is not None:
                self._stop(active, cancelled.by)
        else:
            self._logs.close(cancelled.run_id, cancelled.thread_id)
            self.results.resolve(cancelled.run_id, NOTHING)
            # Its thread may have been for it alone.
            self._forgetting.later()

    def _stop(self, active: ActiveRun, by: RunInput) -> None:
        self._run_loop.loop.call_soon_threadsafe(active.stop, by)

    async def _follow(self, run_id: str, thread_id: str) -> bool:
        return await self.elsewhere.following.begin(run_id, thread_id)

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
