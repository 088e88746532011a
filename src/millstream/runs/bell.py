"""A bell: how threads, and tasks of any event loop, wait for something that another one does.

Whoever waits puts a waiter up, looks again, and only then waits. Whoever makes something happen
does so first, and rings then. So one of the two notices the other, and nobody holds a lock: not who
waits, and not who rings, which may be the garbage collector in the middle of anything else.

A waiter is woken once. One that is cancelled takes its waiter away.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from millstream._base.clock import SYSTEM

LOOK: Final = 0.5
"""Seconds between two looks of whoever waits at what nobody can tell."""


class Waiter(Protocol):
    """Somebody who waits."""

    def wake(self) -> None:
        """Let it go on; from any thread."""


class Bell:
    """Wakes whoever waits for it."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: deque[Waiter] = deque()
        """Those who wait, the longest first. What is done to it cannot be interrupted."""

    def ring(self) -> None:
        """Let everybody go on who waits now; from any thread."""
        waiters = self._waiters
        if not waiters:
            return
        # Only those who are there now: one that is woken may have come back before the last is.
        for _ in range(len(waiters)):
            try:
                waiter = waiters.popleft()
            except IndexError:  # the others have gone, or somebody else rings too
                return
            waiter.wake()

    def wait(
        self,
        has_happened: Callable[[], bool],
        timeout: float | None = None,
        look: Callable[[], object] | None = None,
    ) -> bool:
        """Block this thread until something has happened; false if it has not when time is up.

        `look` is called now and then, for what might happen without anybody to ring.
        """
        end = None if timeout is None else SYSTEM.monotonic() + timeout
        while not has_happened():
            waiter = _Thread()
            self._waiters.append(waiter)
            try:
                if has_happened():
                    return True
                left = None if end is None else end - SYSTEM.monotonic()
                if left is not None and left <= 0:
                    return False
                if look is not None:
                    look()
                    left = LOOK if left is None else min(left, LOOK)
                waiter.block(left)
            finally:
                self._take_down(waiter)
        return True

    async def await_(
        self, has_happened: Callable[[], bool], look: Callable[[], object] | None = None
    ) -> None:
        """Wait in this task, whatever loop it belongs to, until something has happened."""
        while not has_happened():
            waiter = _Task()
            self._waiters.append(waiter)
            timer = None
            try:
                if has_happened():
                    return
                if look is not None:
                    look()
                    timer = waiter.loop.call_later(LOOK, waiter.resolve)
                await waiter.future
            finally:
                if timer is not None:
                    timer.cancel()
                self._take_down(waiter)

    @property
    def has_waiters(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    def _take_down(self, waiter: Waiter) -> None:
        with suppress(ValueError):  # it has been woken
            self._waiters.remove(waiter)


class _Thread:
    """A thread that waits."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        # A lock and no event: it is waited for with a timeout, and released from any thread, at the
        # price of neither a condition nor its lock.
        self._lock.release()

    def block(self, timeout: float | None) -> None:
        """Wait until woken."""
        self._lock.acquire(timeout=-1 if timeout is None else timeout)


class _Task:
    """An asyncio task that waits."""

    __slots__ = ("_thread", "future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.future = self.loop.create_future()

    def wake(self) -> None:
        # In the loop's own thread there is no need to wake the loop, which costs a system call.
        if threading.get_ident() == self._thread:
            self.resolve()
            return
        try:
            self.loop.call_soon_threadsafe(self.resolve)
        except RuntimeError:
            # The loop is closed: nobody waits in it any more.
            return

    def resolve(self) -> None:
        """Let it go on, in its own loop."""
        if not self.future.done():
            self.future.set_result(None)
