"""Worker threads of one run.

`concurrent.futures` makes a future, a work item and a lock round trip for every call; a superstep
needs none of that, because its results arrive through the driver's own inbox.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

MAX_THREADS: Final = 32
"""Worker threads of one run unless `max_concurrency` says otherwise."""


class Workers:
    """At most `limit` threads, started when there is work for them and none is idle.

    Work must not raise. Threads are daemons: a run that nobody finishes does not keep the
    interpreter alive.
    """

    __slots__ = ("_limit", "_lock", "_open", "_queue", "_threads")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open = 0
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], object]) -> None:
        """Have the work done by a thread, as soon as one is free."""
        with self._lock:
            self._open += 1
            self._grow()
        # Last: the thread it wakes has to wait once more if this one goes on for long.
        self._queue.put(work)

    def widen(self) -> None:
        """Allow one more thread: one of them does nothing but wait for other work."""
        with self._lock:
            self._limit += 1
            self._grow()

    def narrow(self) -> None:
        """Allow one thread less, as soon as one has finished what it is doing."""
        with self._lock:
            self._limit -= 1

    def close(self) -> None:
        """Drop work that has not begun, and wait until the rest is done."""
        for thread in self.leave():
            thread.join()

    def has(self, thread: threading.Thread) -> bool:
        """Say whether it is one of the threads."""
        return thread in self._threads

    def leave(self) -> list[threading.Thread]:
        """Drop work that has not begun; return the threads, which end when they are done."""
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        with self._lock:
            threads = list(self._threads)
        for _ in threads:
            self._queue.put(None)
        return threads

    def _grow(self) -> None:
        # Any work that is open has a thread, unless there are as many as there may be.
        if len(self._threads) < min(self._limit, self._open):
            name = f"millstream-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
            del work  # it holds the task and its state
            with self._lock:
                self._open -= 1
                if len(self._threads) > self._limit:
                    self._threads.remove(threading.current_thread())
                    return
