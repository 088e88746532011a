"""An asyncio task that stores checkpoints behind an async run's back (durability `async`)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from millstream._base.cancellation import wait_through_cancellation
from millstream.saving.recorder import MAX_IN_FLIGHT

if TYPE_CHECKING:
    from millstream.saving.carrier import Carrier, Operation

MAX_TRIES = 3
"""How often `close` starts again when what it waits for is cancelled from outside."""

_TURNS: Final = 8
"""Of the event loop: about four supersteps whose nodes wait for nothing, and no time for others."""


class FlushTask:
    """Carries out operations one after the other, at most `MAX_IN_FLIGHT` behind the run.

    The first error of the saver is raised by the next `put`, also by one that waits, or by
    `close`; nothing is stored after it. The asyncio task lives only while there is something to
    store. When it is cancelled from outside, as at the end of `asyncio.run`, nothing is lost: the
    next one goes on.
    """

    __slots__ = ("_carrier", "_error", "_pending", "_task")

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._pending: deque[Operation] = deque()
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    def take(self, operations: deque[Operation]) -> None:
        """Take over as many operations as there is room for: nobody has to wait for these."""
        self._raise_error()
        while operations and len(self._pending) < MAX_IN_FLIGHT:
            self._pending.append(operations.popleft())
            self._working()

    async def submit(self, operation: Operation) -> None:
        """Hand over an operation; waits while too many are in flight."""
        self._raise_error()
        self._pending.append(operation)
        task = self._working()
        # Until the task has stored all there is, the one thing of it that can be awaited.
        if len(self._pending) > MAX_IN_FLIGHT:
            await asyncio.wait([task])
            self._raise_error()

    async def close(self) -> None:
        """Return when everything is stored; a cancellation waits that long."""
        cancelled: asyncio.CancelledError | None = None
        for _ in range(MAX_TRIES):
            if self._pending and self._error is None:
                cancelled = await wait_through_cancellation([self._working()]) or cancelled
        self._raise_error()
        if self._pending:
            raise RuntimeError(
                f"{len(self._pending)} operations are not stored: "
                f"{type(self._carrier.saver).__name__} was cancelled {MAX_TRIES} times"
            ) from cancelled
        if cancelled is not None:
            raise cancelled

    def _working(self) -> asyncio.Task[None]:
        # Also one that was cancelled from outside: what it had begun is still the first of those
        # pending.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return self._task

    async def _work(self) -> None:
        while self._pending and self._error is None:
            if self._carrier.is_together:
                await self._wait_for_more()
            some = list(self._pending) if self._carrier.is_together else [self._pending[0]]
            await self._store(some)
            # Taken away when they are stored: a cancellation must not leave a gap.
            for _ in some:
                self._pending.popleft()

    async def _wait_for_more(self) -> None:
        """Give the run some turns: what it adds meanwhile is stored in the same transaction."""
        for _ in range(_TURNS):
            if len(self._pending) > MAX_IN_FLIGHT:
                return
            await asyncio.sleep(0)

    async def _store(self, operations: list[Operation]) -> None:
        try:
            await self._carrier.acarry_out(operations)
        # Not the saver's error: whoever cancelled the task did not mean the operations.
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._error = error

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
