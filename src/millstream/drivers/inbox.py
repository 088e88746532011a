"""Where the async driver meets the tasks it runs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.modes.parts import Part


class Inbox:
    """Where the driver waits for finished tasks and new parts.

    Usable from any thread. One wake-up serves a whole burst: only a waiting driver is woken.
    """

    __slots__ = ("_thread", "_waiter", "ended", "loop", "parts", "wants_waking")

    def __init__(self) -> None:
        self.parts: deque[Part] = deque()
        """What the consumer has not taken yet."""
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiter: asyncio.Future[None] | None = None
        self.wants_waking = False
        self.ended: list[tuple[TaskContext, BaseException | None]] = []

    def end(self, context: TaskContext, error: BaseException | None) -> None:
        """Add a task that has finished in the driver's thread."""
        # In the loop's own thread, where nothing comes in between.
        self.ended.append((context, error))
        waiter = self._waiter
        if waiter is not None:
            self._waiter, self.wants_waking = None, False
            if not waiter.done():
                waiter.set_result(None)

    def news(self) -> asyncio.Future[None]:
        """Return a future that is resolved when there is something to take, or after `release`."""
        waiter = self._waiter = asyncio.Future(loop=self.loop)
        self.wants_waking = True
        # Only now, because threads look for a waiter after they have put something.
        if self.parts or self.ended:
            self.release()
        return waiter

    def has_news(self) -> bool:
        """Say whether there is something to take."""
        return bool(self.parts or self.ended)

    @property
    def is_here(self) -> bool:
        """Say whether this is the driver's thread."""
        return threading.get_ident() == self._thread

    def soon(self, func: Callable[..., object], *args: Any) -> bool:
        """Have the driver's thread call a function; say whether it still listens."""
        try:
            self.loop.call_soon_threadsafe(func, *args)
        except RuntimeError:
            # The loop is closed: a thread of an abandoned run speaks to nobody.
            return False
        return True

    def wake(self) -> None:
        """Wake the driver if it is waiting, from any thread: there is a new part."""
        if threading.get_ident() == self._thread:
            self.release()
        else:
            self.soon(self.release)

    def release(self) -> None:
        """Wake the driver if it is waiting."""
        waiter, self._waiter, self.wants_waking = self._waiter, None, False
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
