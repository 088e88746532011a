"""An asyncio task that stores checkpoints behind an async run's back (durability `async`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from millstream.drivers.waiting import wait_through_cancellation

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.drivers.persistence import PutCheckpoint, PutWrites

MAX_IN_FLIGHT = 8
"""Operations that may wait for a slow saver before the run waits too."""


class StoreTask:
    """Carries out operations one after the other, at most `MAX_IN_FLIGHT` behind the run.

    The first error of the saver is raised by the next `put`, or by `close`; nothing is stored
    after it.
    """

    __slots__ = ("_error", "_queue", "_saver", "_task")

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._queue: asyncio.Queue[PutCheckpoint | PutWrites | None] = asyncio.Queue(MAX_IN_FLIGHT)
        self._error: BaseException | None = None
        self._task = asyncio.create_task(self._work())

    async def put(self, operation: PutCheckpoint | PutWrites) -> None:
        """Hand over an operation; waits while too many are in flight."""
        self._raise_error()
        await self._queue.put(operation)

    async def close(self) -> None:
        """Wait until everything is stored, and end the task; a cancellation waits that long."""
        closing = asyncio.ensure_future(self._queue.put(None))
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            cancelled = await wait_through_cancellation([self._task]) or cancelled
        await closing
        if cancelled is not None:
            raise cancelled
        self._raise_error()

    async def _work(self) -> None:
        while (operation := await self._queue.get()) is not None:
            if self._error is None:
                await self._store(operation)

    async def _store(self, operation: PutCheckpoint | PutWrites) -> None:
        try:
            await operation.astore(self._saver)
        except BaseException as error:
            self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
