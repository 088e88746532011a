"""A signal: wakes one task, from any thread, however often it is given meanwhile."""

from __future__ import annotations

import asyncio


class Signal:
    """What one task waits for.

    Whoever waits clears it, looks for what it wants, and waits if there is nothing. Whoever has
    something puts it there first and rings then. So nothing is missed without a lock, and a task
    that is busy is not woken for each event.
    """

    __slots__ = ("_future", "_is_set", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._is_set = False

    def ring(self) -> None:
        """Let the task go on; from any thread."""
        if self._is_set:
            return
        self._is_set = True
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            # The loop is closed: nobody waits in it any more.
            return

    def clear(self) -> None:
        """Forget what was rung for before now."""
        self._is_set = False

    async def wait(self) -> None:
        """Wait until somebody rings, not at all if that has happened since the last `clear`."""
        if self._is_set:
            return
        future = self._future = self._loop.create_future()
        try:
            await future
        finally:
            self._future = None

    def _resolve(self) -> None:
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)
