"""Carrying out what an async run has to store, as its durability says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from millstream.drivers.store_task import MAX_TRIES, StoreTask
from millstream.waiting import wait_through_cancellation

if TYPE_CHECKING:
    from millstream.drivers.persistence import Journal


class AsyncSaving:
    """What stores the operations of one run's journal."""

    __slots__ = ("_lock", "_store")

    def __init__(self) -> None:
        self._store: StoreTask | None = None
        self._lock: asyncio.Lock | None = None

    def expect_calls(self) -> None:
        """Prepare for calls of tasks, which store their results by themselves."""
        if self._lock is None:
            self._lock = asyncio.Lock()

    async def save(self, journal: Journal) -> None:
        """Store what is pending, or hand it over to be stored behind the run."""
        if self._lock is None:
            await self._save(journal)
        else:
            # Whoever comes second waits for what the first has taken, which may be its own.
            async with self._lock:
                await self._save(journal)

    async def _save(self, journal: Journal) -> None:
        if journal.is_behind and self._store is None:
            self._store = StoreTask(journal.saver)
        while journal.pending:
            operation = journal.pending[0]
            try:
                if self._store is None:
                    # Taken away when it is stored: a cancellation must not leave a gap.
                    await operation.astore(journal.saver)
                    journal.pending.popleft()
                else:
                    journal.pending.popleft()
                    await self._store.put(operation)
            except Exception:
                journal.give_up()
                raise

    async def finish(self, journal: Journal) -> None:
        """Store what is left at the end of the run; a cancellation waits that long."""
        if not journal.pending and self._store is None:
            return
        cancelled: asyncio.CancelledError | None = None
        for _ in range(MAX_TRIES):
            saving = asyncio.ensure_future(self._save_all(journal))
            while not saving.done():
                cancelled = await wait_through_cancellation([saving]) or cancelled
            if not saving.cancelled():
                saving.result()
                break
        else:
            raise RuntimeError(
                f"{len(journal.pending)} operations are not stored: "
                f"{type(journal.saver).__name__} was cancelled {MAX_TRIES} times"
            ) from cancelled
        if cancelled is not None:
            raise cancelled

    async def _save_all(self, journal: Journal) -> None:
        try:
            await self.save(journal)
        finally:
            if self._store is not None:
                await self._store.close()
