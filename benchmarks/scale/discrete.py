"""Activities that wait for each other, in a time that passes as fast as it can be computed.

An activity is a generator that yields what it waits for: a number of seconds, a place at a
`Station`, or a `Flag`. What it has to wait for another activity it gets with `yield from`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol, TypeAlias


class Wait(Protocol):
    """What an activity may wait for."""

    def begin(self, resume: Callable[[], None]) -> None:
        """Have `resume` called, once, when it is there; perhaps at once."""


Activity: TypeAlias = Generator["Wait | float", None, None]


class Clock:
    """The time, and what is to happen when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order: Final = count()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something called; what is due at one time is called in the order of asking."""
        heappush(self._due, (self.now + seconds, next(self._order), call))

    def start(self, activity: Activity) -> None:
        """Have an activity begin now."""
        self.after(0, lambda: self._go_on(activity))

    def _go_on(self, activity: Activity) -> None:
        try:
            wanted = next(activity)
        except StopIteration:
            return
        if isinstance(wanted, float):
            self.after(wanted, lambda: self._go_on(activity))
        else:
            wanted.begin(lambda: self._go_on(activity))

    def run(self, until: float) -> None:
        """Let time pass until then, or until nothing is left to happen."""
        while self._due and self._due[0][0] <= until:
            self.now, _, call = heappop(self._due)
            call()
        self.now = until


class Station:
    """Some places, which are taken in the order in which they are asked for."""

    def __init__(self, clock: Clock, places: int) -> None:
        self._clock = clock
        self._free = places
        self._queue: deque[Callable[[], None]] = deque()
        self.busy = 0.0
        """Seconds for which places were taken, all together."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a place."""
        return bool(self._queue)

    def begin(self, resume: Callable[[], None]) -> None:
        """Give a place to who is the next."""
        if self._free:
            self._free -= 1
            resume()
        else:
            self._queue.append(resume)

    def leave(self) -> None:
        """Give a place back."""
        if self._queue:
            # Behind what the one that leaves does now.
            self._clock.after(0, self._queue.popleft())
        else:
            self._free += 1

    def use(self, seconds: float) -> Activity:
        """Take a place for so long."""
        yield self
        yield seconds
        self.busy += seconds
        self.leave()


class Flag:
    """Something that has happened, or not yet."""

    def __init__(self) -> None:
        self.is_set = False
        self._waiting: list[Callable[[], None]] = []

    def begin(self, resume: Callable[[], None]) -> None:
        """Wait for it."""
        if self.is_set:
            resume()
        else:
            self._waiting.append(resume)

    def set(self) -> None:
        """Note that it has happened."""
        self.is_set = True
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()


class Disk:
    """A disk that one flush is made to at a time, for all who have asked before it began."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._next = Flag()
        self._is_busy = False
        self.flushes = 0

    def flush(self) -> Activity:
        """Wait until what was written before is on the disk."""
        if self._seconds <= 0:
            return
        flag = self._next
        if not self._is_busy:
            self._is_busy = True
            self._clock.start(self._work())
        yield flag

    def _work(self) -> Activity:
        while self._next._waiting:
            flag, self._next = self._next, Flag()
            yield self._seconds
            self.flushes += 1
            flag.set()
        self._is_busy = False
