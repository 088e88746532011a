"""Who writes, where one at a time can.

Whoever finds the lane free writes, in its own thread, and takes along what others have put in the
queue meanwhile: their steps are carried out up to the commit, and one transaction has them all. So
nothing is handed to another thread as long as nobody else writes, and commits are shared as soon
as somebody does.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from millstream.journal.carrying import carry_out, carry_out_here
from millstream.journal.reading import Requests
from millstream.journal.rows import Batch, Commit
from millstream.journal.storage import Storage, WouldWait
from millstream.journal.threads import Threads

ResultT = TypeVar("ResultT")

_MOST_TOGETHER: Final = 64
"""Jobs that share one transaction."""


class _Job(Generic[ResultT]):
    """Steps that somebody waits for."""

    __slots__ = ("answer", "error", "is_done", "make", "result", "steps")

    def __init__(self, make: Callable[[], Requests[ResultT]]) -> None:
        self.make = make
        self.steps: Requests[ResultT] = make()
        self.answer: Any = None
        self.error: BaseException | None = None
        self.result: Any = None
        self.is_done = False

    def outcome(self) -> ResultT:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        result: ResultT = self.result
        return result

    def begin_again(self) -> None:
        """Forget what was done."""
        self.steps.close()
        self.steps, self.answer = self.make(), None


class _Queue:
    """Jobs that wait, and how those of them that somebody takes are done together."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._queue: deque[_Job[Any]] = deque()

    def _work(self, jobs: Sequence[_Job[Any]]) -> Requests[None]:
        return _work(jobs, self._storage.is_general)

    def _take(self) -> list[_Job[Any]]:
        jobs: list[_Job[Any]] = []
        while self._queue and len(jobs) < _MOST_TOGETHER:
            jobs.append(self._queue.popleft())
        return jobs

    def _remove(self, job: _Job[Any]) -> None:
        with suppress(ValueError):
            self._queue.remove(job)

    def _give_back(self, jobs: Sequence[_Job[Any]], own: _Job[Any]) -> None:
        """Let those who wait go on by themselves: whoever has taken their jobs was interrupted."""
        left = [each for each in jobs if not each.is_done]
        for each in left:
            each.begin_again()
        self._queue.extendleft(reversed([each for each in left if each is not own]))


def _work(
    jobs: Sequence[_Job[Any]], is_general: Callable[[Exception], bool] = lambda error: False
) -> Requests[None]:
    """Carry out jobs; errors are theirs, but for those that are general: these are everybody's.

    Of two batches of one line the later was made as if the earlier one were written already. It
    waits until that is so: were both sent, and somebody else had moved the counter to where the
    earlier one would have, then the later one alone would be written, to rows that are not there.
    """
    commits: list[tuple[_Job[Any], Commit]] = []
    everybody = jobs
    while jobs or commits:
        for job in jobs:
            request = yield from _advance(job)
            if request is not None:
                commits.append((job, request))
            elif isinstance(job.error, Exception) and is_general(job.error):
                _fail(everybody, job.error)
                return
        if not commits:
            return
        now, later = _apart(commits)
        batches: list[Batch] = [each for _, request in now for each in request.batches]
        try:
            written = yield Commit(batches)
        except WouldWait:
            raise
        except Exception as error:
            if is_general(error):
                _fail(everybody, error)
            else:
                yield from _commit_failed([job for job, _ in commits], error, is_general)
            return
        refused = {
            each.line.number for each, done in zip(batches, written, strict=True) if not done
        }
        answers = iter(written)
        for job, request in now:
            job.answer = list(islice(answers, len(request.batches)))
        jobs, commits = [job for job, _ in now], []
        for job, request in later:
            if refused.isdisjoint(_lines(request)):
                commits.append((job, request))
            else:
                refused |= _lines(request)
                job.answer = [False] * len(request.batches)
                jobs.append(job)


def _lines(request: Commit) -> set[int]:
    return {batch.line.number for batch in request.batches}


def _apart(
    commits: Sequence[tuple[_Job[Any], Commit]],
) -> tuple[list[tuple[_Job[Any], Commit]], list[tuple[_Job[Any], Commit]]]:
    """Return which commits can be sent together, and which wait for one before them."""
    now: list[tuple[_Job[Any], Commit]] = []
    later: list[tuple[_Job[Any], Commit]] = []
    taken: set[int] = set()
    for each in commits:
        lines = _lines(each[1])
        (now if taken.isdisjoint(lines) else later).append(each)
        taken |= lines
    return now, later


def _advance(job: _Job[Any]) -> Requests[Commit | None]:
    """Carry out steps up to the next commit or their end."""
    try:
        request = job.steps.send(job.answer)
        while not isinstance(request, Commit):
            request = job.steps.send((yield request))
    except StopIteration as end:
        job.result, job.is_done = end.value, True
    except WouldWait:
        raise
    except Exception as error:
        job.error, job.is_done = error, True
    else:
        return request
    return None


def _commit_failed(
    jobs: Sequence[_Job[Any]], error: Exception, is_general: Callable[[Exception], bool]
) -> Requests[None]:
    """Give a job its error; of several nobody knows whose it is, so each is tried alone."""
    if len(jobs) == 1:
        _fail(jobs, error)
        return
    for job in jobs:
        job.begin_again()
    for at, job in enumerate(jobs):
        yield from _work([job], is_general)
        if isinstance(job.error, Exception) and is_general(job.error):
            _fail(jobs[at:], job.error)
            return


def _fail(jobs: Sequence[_Job[Any]], error: Exception) -> None:
    """Give an error to those jobs that are not done."""
    for job in jobs:
        if not job.is_done:
            try:
                job.steps.throw(error)
            except Exception as raised:
                job.error = raised
            job.is_done = True


class SharedLane(_Queue):
    """One lane for all lines of a storage.

    `always_waits` says that the storage cannot write without waiting: then it is not tried.
    `threads` are those in which event loops have others waited for.
    """

    def __init__(
        self, storage: Storage, *, always_waits: bool = False, threads: Threads | None = None
    ) -> None:
        super().__init__(storage)
        self._always_waits = always_waits
        self._threads = threads or Threads()
        self._lock = threading.Lock()

    def begin(self, *, may_wait: bool = True) -> bool:
        """Take the lane if nobody has it; say whether that was done."""
        if self._queue or not (may_wait or not self._always_waits):
            return False
        return self._lock.acquire(blocking=False)

    def end(self) -> None:
        """Give the lane back."""
        self._lock.release()

    def run(self, make: Callable[[], Requests[ResultT]]) -> ResultT:
        """Carry out what steps ask for, alone or with others."""
        if self.begin():
            try:
                return carry_out_here(make(), self._storage)
            finally:
                self.end()
        job = _Job(make)
        self._queue.append(job)
        try:
            self._finish(job)
        except BaseException:
            self._remove(job)
            raise
        return job.outcome()

    async def arun(
        self, make: Callable[[], Requests[ResultT]], *, is_long: bool = False
    ) -> ResultT:
        """Carry out what steps ask for: here if that takes no waiting, else in a thread."""
        if not is_long and self.begin(may_wait=False):
            try:
                return carry_out_here(make(), self._storage, may_wait=False)
            except WouldWait:
                pass  # what was done of it does not count
            finally:
                self.end()
        job = _Job(make)
        self._queue.append(job)
        await asyncio.shield(self._threads.call(self._finish, job))
        return job.outcome()

    def try_now(self, action: Callable[[], object]) -> None:
        """Call something that changes what is known of lines, unless somebody is writing."""
        if self._lock.acquire(blocking=False):
            try:
                action()
            finally:
                self._lock.release()

    def _finish(self, job: _Job[Any]) -> None:
        """Wait until a job of the queue is done, by whoever does it."""
        with self._lock:
            while not job.is_done:
                jobs = self._take()
                try:
                    carry_out_here(self._work(jobs), self._storage)
                except BaseException:
                    self._give_back(jobs, job)  # Ctrl-C in this thread
                    raise


class LoopLane(_Queue):
    """One lane for a storage that one event loop uses, and nobody else."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._lock = asyncio.Lock()

    def begin(self, *, may_wait: bool = True) -> bool:
        """Say no: it takes awaiting."""
        return False

    def end(self) -> None:
        """Do nothing."""

    def run(self, make: Callable[[], Requests[ResultT]]) -> ResultT:
        """Let the storage say why this cannot be."""
        result: ResultT = self._storage.carry_out(next(make()))
        return result

    async def arun(
        self, make: Callable[[], Requests[ResultT]], *, is_long: bool = False
    ) -> ResultT:
        """Carry out what steps ask for, alone or with others."""
        job = _Job(make)
        self._queue.append(job)
        try:
            await self._finish(job)
        except BaseException:
            self._remove(job)
            raise
        return job.outcome()

    def try_now(self, action: Callable[[], object]) -> None:
        """Call something that changes what is known of lines, unless somebody is writing."""
        if not self._lock.locked():
            action()

    async def _finish(self, job: _Job[Any]) -> None:
        """Wait until a job of the queue is done, by whoever does it."""
        async with self._lock:
            while not job.is_done:
                jobs = self._take()
                try:
                    await carry_out(self._work(jobs), self._storage.acarry_out)
                except BaseException:
                    self._give_back(jobs, job)  # cancelled
                    raise
