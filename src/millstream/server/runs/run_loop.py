"""The event loop in which graphs run: not that of HTTP, which goes on when a node blocks it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from millstream._base.clock import SYSTEM, Clock, given
from millstream.server.runs.watchdog import Watchdog

T = TypeVar("T")


class RunLoop:
    """A thread with an event loop, for all that calls code of graphs.

    Functions that are not async have threads there, and may wait for what another run does, or what
    this server answers. So there are as many as may be needed, and what is stored has its own: with
    too few, or the same, all could wait for each other.
    """

    def __init__(
        self, name: str = "millstream-runs", clock: Clock = SYSTEM, *, threads: int | None = None
    ) -> None:
        """Begin; `clock` is where what is called there has the time from.

        `threads` is how many there are at most for what is not async; a few more than processors
        unless it is said.
        """
        self._clock = clock
        self.loop = _new_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix=name))
        self.storing = ThreadPoolExecutor(thread_name_prefix=f"{name}-storing")
        """Threads in which it is waited for what is stored."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.watchdog = Watchdog(self.loop, self._thread)
        self._thread.start()

    async def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns there; being cancelled here cancels it there."""
        return await asyncio.wrap_future(self.submit(coroutine))

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine there."""
        with given(self._clock):
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        """Cancel what still runs, wait for it, and end the thread."""
        self.watchdog.close()
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(_end_tasks())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.storing.shutdown()
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform != "win32":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
