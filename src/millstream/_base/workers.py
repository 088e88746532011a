"""Worker threads of one run.

`concurrent.futures` makes a future, a work item and a lock round trip for every call; a superstep
needs none of that, because its results arrive through the driver's own inbox.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Final

from millstream._base.clock import SYSTEM

MAX_THREADS: Final = 32
"""Worker threads of one run unless `max_concurrency` says otherwise."""
PATIENCE: Final = 1.0
"""Seconds a thread has to begin when Ctrl-C kept whoever started it from waiting for that."""


@cache
def import_for_threads() -> None:
    """Import what LangChain imports when the first model is called.

    Two threads that do so at once may find it half imported, and fail.
    """
    import_module("langchain_core.tracers.context")


class Workers:
    """At most `limit` threads, started when there is work for them and none is idle.

    Work must not raise. Threads are daemons: a run that nobody finishes does not keep the
    interpreter alive.
    """

    __slots__ = ("_is_closed", "_limit", "_lock", "_open", "_queue", "_size", "_threads")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        """Guards everything but the queue. Can be taken twice: the collector may close a stream in
        a thread that holds it."""
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        """Work that has not begun. None is the end: whoever takes it puts it back for the others,
        so that no thread can miss it, whenever it began."""
        self._open = 0
        """Work that has not been done."""
        self._size = 0
        """Threads that take work."""
        self._threads: list[threading.Thread] = []
        """All threads that may be alive."""
        self._is_closed = False

    def submit(self, work: Callable[[], object]) -> None:
        """Have the work done by a thread, as soon as one is free; after the end, drop it.

        Where a thread is needed and cannot be started, that error is raised and the work is not
        taken.
        """
        with self._lock:
            if self._is_closed:
                return
            self._open += 1
            try:
                self._grow()
            except BaseException:
                self._open -= 1
                raise
            # Last: the thread it wakes has to wait once more if this one goes on for long.
            self._queue.put(work)

    async def wait_for(self, func: Callable[[], Any]) -> Any:
        """Have a thread call a function, and wait for its result in an event loop."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        ambient = contextvars.copy_context()

        def work() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = ambient.run(func)
            except StopIteration as raised:
                error = RuntimeError(repr(raised))  # an asyncio future refuses to carry one
                error.__cause__ = raised
            except BaseException as raised:
                error = raised
            # If the loop is closed, a thread of an abandoned run speaks to nobody.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(resolve, ended, result, error)

        self.submit(work)
        return await ended

    def widen(self) -> None:
        """Allow one more thread: one of them does nothing but wait for other work."""
        with self._lock:
            self._limit += 1
            # Whoever submits work that needs the thread is told why there is none.
            with suppress(RuntimeError):
                self._grow()

    def narrow(self) -> None:
        """Allow one thread less, as soon as one has finished what it is doing."""
        with self._lock:
            self._limit -= 1

    def close(self) -> None:
        """Drop work that has not begun, and wait until the rest is done."""
        self.leave()
        for thread in self._threads:
            join(thread)

    def has(self, thread: threading.Thread) -> bool:
        """Say whether it is one of the threads."""
        return thread in self._threads

    @property
    def is_busy(self) -> bool:
        """Whether there is work that has not been done."""
        return self._open > 0

    def leave(self) -> None:
        """Drop work that has not begun; threads end when they are done."""
        with self._lock:
            self._is_closed = True
            # Nobody puts work any more, and what no worker has taken by now none will.
            with suppress(Empty):
                while True:
                    self._open -= self._queue.get_nowait() is not None
            self._queue.put(None)

    def _grow(self) -> None:
        # Any work that is open has a thread, unless there are as many as there may be.
        while self._size < min(self._limit, self._open) and not self._is_closed:
            name = f"millstream-{self._size}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            try:
                thread.start()
            except Exception:
                self._threads.remove(thread)
                raise
            self._size += 1

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
            del work  # it holds the task and its state
            with self._lock:
                self._open -= 1
                if self._size > self._limit:
                    self._size -= 1
                    return
        self._queue.put(None)


def resolve(
    future: Future[Any] | asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    """Give a future its result or error, unless its owner has cancelled it."""
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)


def join(thread: threading.Thread) -> None:
    """Wait until a thread has ended, or has not even begun."""
    end = SYSTEM.monotonic() + PATIENCE
    while True:
        with suppress(RuntimeError):
            thread.join()
            return
        if SYSTEM.monotonic() > end:
            return
        SYSTEM.sleep(0.001)
