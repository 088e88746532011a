"""What happens to threads beside their runs: one thing at a time for each thread.

What is under way is noted in the database (`storage.changes`), so that no run begins while the
state of its thread is being changed, and the next process knows what this one has not ended. A
process that was taken for dead stores nothing more of it: the row of the note guards that, as the
row of a run guards what the run stores.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakValueDictionary

from millstream.server.runs.active import Change, change_here, enter
from millstream.server.storage import changes

if TYPE_CHECKING:
    from millstream.server.storage.database import Database

B = TypeVar("B")
T = TypeVar("T")

logger = logging.getLogger("millstream.server")

RETRY: Final = 0.5
"""Seconds between two tries to note that nothing is under way any more."""


def holder_here() -> str:
    """Return the replica that changes a thread here."""
    change = change_here()
    assert change is not None, "it is asked for by what changes one"
    return change.holder


class Changes:
    """Carries out changes of threads."""

    def __init__(self, db: Database, holder: Callable[[], str], wake: Callable[[], object]) -> None:
        """Make one for the replica that `holder` names.

        `wake` is called when runs may begin that had to wait.
        """
        self._db = db
        self._holder = holder
        self._wake = wake
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closing = False

    async def update(self, thread_id: str, change: Callable[[], Awaitable[T]]) -> T:
        """Have the state of a thread changed while no run goes on; `ApiError` if one does."""
        begin = partial(changes.begin_update, thread_id=thread_id)
        return await self.during(thread_id, begin, lambda _: change(), holds_runs=True)

    async def during(
        self,
        thread_id: str,
        begin: Callable[..., B],
        change: Callable[[B], Awaitable[T]],
        *,
        holds_runs: bool = False,
    ) -> T:
        """Have something done that is noted in the transaction that it begins with.

        `begin` is given a connection, and as `holder` the id of this replica.

        Its last transaction notes that it is done; if it fails, that is noted here. It goes on also
        if whoever waits for it does not any more. `holds_runs` says that some may wait for its end.
        """
        doing = self._do(thread_id, begin, change, holds_runs=holds_runs)
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self, grace: float) -> None:
        """Wait for what is under way, and after a while cancel it."""
        self._is_closing = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _do(
        self,
        thread_id: str,
        begin: Callable[..., B],
        change: Callable[[B], Awaitable[T]],
        *,
        holds_runs: bool,
    ) -> T:
        lock = self._locks.get(thread_id)
        if lock is None:
            lock = self._locks[thread_id] = asyncio.Lock()
        async with lock:
            # It may have another name later: in this one it is taken over.
            holder = self._holder()
            begun = await self._db.write(begin, holder=holder)
            enter(Change(thread_id, holder))
            try:
                return await change(begun)
            except BaseException:
                await self._end(thread_id, holder)
                raise
            finally:
                if holds_runs:
                    self._wake()

    async def _end(self, thread_id: str, holder: str) -> None:
        """Note that nothing is under way any more, when the database can."""
        while True:
            try:
                await self._db.write(changes.end_own, thread_id, holder)
                return
            except Exception as error:  # noqa: PERF203
                if self._is_closing or not self._db.may_pass(error):
                    raise
                logger.error("thread %s cannot be let go of yet", thread_id, exc_info=error)
                await asyncio.sleep(RETRY)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Nobody may be there any more to be told.
        if not task.cancelled():
            task.exception()
