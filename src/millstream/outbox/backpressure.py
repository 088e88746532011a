"""A bound for what a slow reader has not taken yet: `max_buffered`.

Who emits can wait in two ways. Code in a thread of its own is blocked. Code in the reader's thread,
which is that of the event loop in an async run, must not be: there only what is awaited can wait,
and that are the tokens of models called in an async way. So a part that comes from the reader's
thread is always admitted, and whoever can awaits the bound afterwards.

A coroutine may itself wait for threads without awaiting them: it calls a graph or a `batch` in the
sync way. Then the event loop stands still, its reader takes nothing, and the threads must not wait
for it. So a blocked thread asks the loop for a sign of life: a callback, which is called in the
loop's next turn. A slow reader gives one, or takes a part; while there is neither, parts are
admitted.

How long that may take is a bound, and cannot be anything else. Where our own code waits in the
loop's thread we could say so, but not where others do: LangChain's `batch` waits in an executor of
its own, and one can see of a thread that it waits, but not for whom. A loop that will be back after
computing for a while, and one that waits for the very thread that asks, look the same until one of
them is back. The two mistakes are not equal, so the bound is short: who takes a slow loop for one
that stands still admits parts beyond the limit for as long as the loop is away, and who never gives
up waits for ever.

What the engine itself tells (`updates`, `values`, ...) is admitted too: it is told under the
driver's lock, and at most a superstep's worth. Nested runs wait before the next superstep instead.

Once there was no room, those who wait go on when half of it is taken: a switch for every part would
cost more than the part.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.modes.parts import Emit, Part

STANDSTILL: Final = 0.24
"""Seconds without a sign of life after which an event loop counts as standing still. A callback
takes a turn of the loop, some microseconds; one that keeps its turn for longer than this holds up
everybody else in it, too."""


class BufferLimit:
    """How many parts there may be for a consumer.

    Awaiting it, in the reader's event loop, awaits room.
    """

    __slots__ = (
        "_answers",
        "_blocked",
        "_is_asked",
        "_is_closed",
        "_is_still",
        "_limit",
        "_low",
        "_parts",
        "_reader",
        "_room",
        "_soon",
        "_waiters",
    )

    def __init__(
        self,
        limit: int,
        parts: deque[Part],
        soon: Callable[[Callable[[], None]], bool] | None = None,
    ) -> None:
        self._limit = limit
        self._low = limit // 2
        self._parts = parts
        self._reader = threading.get_ident()
        """The thread that took a part last; made by the one that takes the first."""
        self._room = threading.Condition(threading.RLock())
        """Can be taken twice: the collector may close a stream in a thread that holds it."""
        self._blocked = 0
        """Threads that wait, or are about to look whether they must."""
        self._waiters: list[asyncio.Future[None]] = []
        """What is awaited in the reader's event loop, for room."""
        self._is_closed = False
        self._soon = soon
        """Have the reader's event loop call a function, and say whether it still listens; None in
        a sync run, whose reader has a thread of its own."""
        self._is_asked = False
        """The event loop has been asked for a sign of life, and has not answered yet."""
        self._answers = 0
        self._is_still = False
        """The event loop does not answer."""

    def limited(self, emit: Emit) -> Emit:
        """Return the function that adds a part by `put` when there is room, as far as it can."""

        def emit_when_free(part: Part) -> None:
            if self._is_here:
                emit(part)
                return
            with self._room:
                self._block()
                # Under the lock, or several threads would find the same room.
                emit(part)

        return emit_when_free

    def wait(self) -> None:
        """Block this thread, unless it is the reader's, until there is room."""
        if not self._is_here:
            with self._room:
                self._block()

    def __await__(self) -> Generator[Any, None, None]:
        while self._is_full and self._is_here:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            # Asked again after: others may have taken the room.
            yield from waiter

    def take(self) -> Part:
        """Take the oldest part, and let those go on who wait for room."""
        part = self._parts.popleft()
        self._reader = threading.get_ident()
        if len(self._parts) <= self._low:
            self._is_still = False
            if self._waiters:
                self._resolve_waiters()
            # Read after the part was taken, as a thread looks after it has counted itself: one of
            # the two notices the other.
            if self._blocked:
                with self._room:
                    self._room.notify_all()
        return part

    def close(self) -> None:
        """Let everybody go on: nobody waits any more."""
        with self._room:
            self._is_closed = True
            self._room.notify_all()
        self._resolve_waiters()

    @property
    def _is_here(self) -> bool:
        return threading.get_ident() == self._reader

    @property
    def _is_full(self) -> bool:
        return len(self._parts) >= self._limit and not self._is_closed

    def _block(self) -> None:
        # Before the look, see `take`.
        self._blocked += 1
        try:
            while self._is_full and not self._is_still:
                if self._soon is None:
                    self._room.wait()
                else:
                    self._wait_for_loop(self._soon)
        finally:
            self._blocked -= 1

    def _wait_for_loop(self, soon: Callable[[Callable[[], None]], bool]) -> None:
        """Wait for room, but not for an event loop that stands still."""
        if not self._is_asked:
            self._is_asked = True
            # Its loop is closed, and will never take anything.
            if not soon(self._answer):
                raise RunAbandoned("the event loop of its reader is closed")
        answers, oldest = self._answers, self._oldest()
        for _ in range(2):  # after the first time the whole machine may have stood still
            is_told = self._room.wait(STANDSTILL / 2)
            # A reader that takes parts without leaving its turn is slow, and alive.
            if is_told or self._answers != answers or self._oldest() is not oldest:
                return
        self._is_still = True
        self._room.notify_all()

    def _answer(self) -> None:
        self._answers += 1
        # It turns: whoever comes next waits for it again.
        self._is_asked = self._is_still = False

    def _oldest(self) -> Part | None:
        try:
            return self._parts[0]
        except IndexError:  # the reader is taking it just now
            return None

    def _resolve_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def check_limit(max_buffered: object) -> None:
    """Refuse a `max_buffered` that says nothing sensible: `TypeError` or `ValueError`."""
    if max_buffered is None:
        return
    if not isinstance(max_buffered, int) or isinstance(max_buffered, bool):
        raise TypeError(f"max_buffered must be an integer or None, got {max_buffered!r}")
    if max_buffered < 1:
        raise ValueError(f"max_buffered must be at least 1 or None, got {max_buffered}")
