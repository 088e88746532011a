"""Carrying out what an async run has to store, as its durability says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from millstream._base.cancellation import wait_through_cancellation
from millstream.saving.flush_task import MAX_TRIES, FlushTask

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from millstream.saving.recorder import Recorder


class AsyncFlusher:
    """What stores the operations of one run's recorder."""

    __slots__ = ("_background", "_lock")

    def __init__(self) -> None:
        self._background: FlushTask | None = None
        self._lock: asyncio.Lock | None = None

    def expect_calls(self) -> None:
        """Prepare for calls of tasks, which store their results by themselves."""
        if self._lock is None:
            self._lock = asyncio.Lock()

    def flush(self, recorder: Recorder) -> Coroutine[Any, Any, None]:
        """Store what is pending, or hand it over to be stored behind the run; to be awaited."""
        return self._flush(recorder) if self._lock is None else self._flush_in_turn(recorder)

    async def _flush_in_turn(self, recorder: Recorder) -> None:
        assert self._lock is not None
        # Whoever comes second waits for what the first has taken, which may be its own.
        async with self._lock:
            await self._flush(recorder)

    async def _flush(self, recorder: Recorder) -> None:
        if recorder.is_behind and self._background is None:
            self._background = FlushTask(recorder.carrier)
        pending, carrier = recorder.pending, recorder.carrier
        try:
            if self._background is not None:
                self._background.take(pending)
            while pending:
                if self._background is not None:
                    await self._background.submit(pending.popleft())
                    continue
                # Taken away when it is stored: a cancellation must not leave a gap.
                some = list(pending) if carrier.is_together else [pending[0]]
                await carrier.acarry_out(some)
                for _ in some:
                    pending.popleft()
        except Exception:
            recorder.give_up()
            raise

    async def finish(self, recorder: Recorder) -> None:
        """Store what is left at the end of the run; a cancellation waits that long."""
        if not recorder.pending and self._background is None:
            return
        cancelled: asyncio.CancelledError | None = None
        # `asyncio.run` cancels all tasks at its end, and so may others: what they cancel is not
        # what is stored, so it is begun again.
        for _ in range(MAX_TRIES):
            saving = asyncio.ensure_future(self._flush_all(recorder))
            while not saving.done():
                cancelled = await wait_through_cancellation([saving]) or cancelled
            if not saving.cancelled():
                saving.result()
                break
        else:
            raise RuntimeError(
                f"{len(recorder.pending)} operations are not stored: "
                f"{type(recorder.saver).__name__} was cancelled {MAX_TRIES} times"
            ) from cancelled
        # Only now that everything is stored.
        if cancelled is not None:
            raise cancelled

    async def _flush_all(self, recorder: Recorder) -> None:
        try:
            await self.flush(recorder)
        finally:
            if self._background is not None:
                await self._background.close()
