"""A bound for what a slow reader has not taken yet: `max_buffered`.

Who emits can wait in two ways. Code in a thread of its own is blocked. Code in the reader's thread,
which is that of the event loop in an async run, must not be: there only what is awaited can wait,
and that are the tokens of models called in an async way. So a part that comes from the reader's
thread is always admitted, and whoever can awaits the buffer afterwards.

What the engine itself tells (`updates`, `values`, ...) is admitted too: it is told under the
driver's lock, and at most a superstep's worth. Nested runs wait before the next superstep instead.

Once the buffer was full, those who wait go on when half of it is taken: a switch for every part
would cost more than the part.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from millstream.drivers.run import RunAbandoned
from millstream.stream.parts import Part

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.stream.parts import Put


class Buffer(deque[Part]):
    """The parts a consumer has not taken; awaiting it, in the reader's event loop, awaits room."""

    __slots__ = (
        "_blocked",
        "_is_closed",
        "_is_left",
        "_limit",
        "_low",
        "_name",
        "_put",
        "_reader",
        "_room",
        "_waiters",
    )

    def __init__(self, limit: int, name: str) -> None:
        super().__init__()
        self._limit = limit
        self._low = limit // 2
        self._name = name
        self._put: Put = self.append
        self._reader = threading.get_ident()
        """The thread that took a part last; made by the one that takes the first."""
        self._room = threading.Condition(threading.Lock())
        self._blocked = 0
        """Threads that wait, or are about to look whether they must."""
        self._waiters: list[asyncio.Future[None]] = []
        """What is awaited in the reader's event loop, for room."""
        self._is_closed = False
        self._is_left = False

    def through(self, put: Put) -> Put:
        """Return the function that adds a part by `put` when there is room, as far as it can."""
        self._put = put
        return self._pour

    def _pour(self, part: Part) -> None:
        if self._is_here:
            self._put(part)
            return
        with self._room:
            self._block()
            self._put(part)

    def wait(self) -> None:
        """Block this thread, unless it is the reader's, until there is room.

        Raises `RunAbandoned` when the run is being stopped.
        """
        if not self._is_here:
            with self._room:
                self._block()

    def __await__(self) -> Generator[Any, None, None]:
        while self._is_full and self._is_here:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            yield from waiter

    def popleft(self) -> Part:
        """Take the oldest part, and let those go on who wait for room."""
        part = super().popleft()
        self._reader = threading.get_ident()
        if len(self) <= self._low:
            if self._waiters:
                self._resolve_waiters()
            # Read after the part was taken, as `_block` looks after it has counted itself: one of
            # the two notices the other.
            if self._blocked:
                with self._room:
                    self._room.notify_all()
        return part

    def close(self, *, is_left: bool) -> None:
        """Let everybody go on: nobody waits any more.

        In a run that is left before its end, threads that emit more get a `RunAbandoned`: they can
        be stopped in no other way.
        """
        with self._room:
            self._is_closed = True
            self._is_left = self._is_left or is_left
            self._room.notify_all()
        self._resolve_waiters()

    @property
    def _is_here(self) -> bool:
        return threading.get_ident() == self._reader

    @property
    def _is_full(self) -> bool:
        return len(self) >= self._limit and not self._is_closed

    def _block(self) -> None:
        self._blocked += 1
        try:
            while self._is_full:
                self._room.wait()
        finally:
            self._blocked -= 1
        if self._is_left:
            raise RunAbandoned(self._name)

    def _resolve_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def make_buffer(max_buffered: int | None, name: str) -> Buffer | None:
    """Return the buffer a caller asked for; `ValueError` when it could hold nothing."""
    if max_buffered is None:
        return None
    if max_buffered < 1:
        raise ValueError(f"max_buffered must be at least 1 or None, got {max_buffered}")
    return Buffer(max_buffered, name)


def buffers_above(parent: TaskContext | None) -> tuple[Buffer, ...]:
    """Return the buffers of enclosing runs that hear what a run called by this task does."""
    above: list[Buffer] = []
    while parent is not None:
        run = parent.run
        if run.buffer is not None and run.view.has_subgraphs:
            above.append(run.buffer)
        parent = run.parent
    return tuple(above)
