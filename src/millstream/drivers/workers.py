"""Worker threads of one sync run.

`concurrent.futures` makes a future, a work item and a lock round trip for every call; a superstep
needs none of that, because its results arrive through the driver's own inbox.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue


class Workers:
    """At most `limit` threads, started when there is work for them and none is idle.

    Work must not raise. Threads are daemons: a run that nobody finishes does not keep the
    interpreter alive.
    """

    __slots__ = ("_idle", "_limit", "_queue", "_threads")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, work: Callable[[], object]) -> None:
        """Have the work done by a thread, as soon as one is free."""
        self._queue.put(work)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
            thread = threading.Thread(
                target=self._work, name=f"millstream-{len(self._threads)}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Drop work that has not begun, and wait until the rest is done."""
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
            del work  # it holds the task and its state
            self._idle.release()
