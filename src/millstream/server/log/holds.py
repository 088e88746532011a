"""What a run has said and nobody may read yet: it tells of something that is not stored.

A hold is a place in the log of a run, behind which things are told that the run is going to store.
When these are stored, or it turns out that there is nothing to store, what follows may be read. So
what is read of a run is always true of its state, and what is not read yet can be said otherwise by
another attempt, if the process ends before it is stored.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final

from millstream.outbox.write_ahead import Place


def written(place: Place) -> str:
    """Return what stands for something that is stored, in the rows of events."""
    return "\n".join(place)


_BEHIND: Final = " behind"


def behind(needs: str) -> str:
    """Return what stands for it with an event that only follows those which tell of it."""
    return needs + _BEHIND


def is_behind(needs: str) -> bool:
    """Say whether this was noted with an event that only follows."""
    return needs.endswith(_BEHIND)


def read(text: str) -> Place:
    """Return what was `written`."""
    # A namespace has names of nodes, in which anything may stand; ids have no line breaks.
    return Place(*text.removesuffix(_BEHIND).rsplit("\n", 3))


class Hold:
    """That a run tells of something which it is going to store."""

    __slots__ = ("_holds", "after", "is_bound", "is_over", "needs")

    def __init__(self, holds: Holds, after: int) -> None:
        self._holds = holds
        self.after = after
        """What was said before it is not concerned."""
        self.needs: str | None = None
        """What has to be stored for all that follows to count."""
        self.is_bound = self.is_over = False

    def bind(self, place: Place) -> None:
        """Take note what it is that is going to be stored."""
        self._holds.bind(self, written(place))

    def keep(self) -> None:
        """Take note that it is stored, or that there is nothing to store after all."""
        self._holds.keep(self)


class Holds:
    """The holds of one log, in their order."""

    def __init__(self, lock: Any, show: Callable[[], None], resolved: Callable[[], None]) -> None:
        """Begin with none.

        `show` is called when more may be read, and `resolved` when it is known of all what they are
        for.
        """
        self._lock = lock
        self._show = show
        self._resolved = resolved
        self._holds: deque[Hold] = deque()
        self._bound: list[Hold] = []
        """Those that were bound while others were open."""
        self._own = threading.local()
        """Its `hold` is the open one that a thread has made last.

        Not by the thread's number: the next thread may get that of one that has ended.
        """
        self.needs: str | None = None
        """What has to be stored for what is said now to count, if there are no open ones."""
        self.open: Final[set[Hold]] = set()
        """Those of which it is not known what they are for."""
        self._settled: Future[None] | None = None

    def add(self, after: int) -> Hold:
        """Return a hold on what is said after a place."""
        hold = Hold(self, after)
        self._holds.append(hold)
        self.open.add(hold)
        self._own.hold = hold
        return hold

    @property
    def own(self) -> Hold | None:
        """The one of which this thread tells: it was made there, and is open."""
        hold: Hold | None = getattr(self._own, "hold", None)
        return None if hold is None or hold.is_bound else hold

    @property
    def limit(self) -> int | None:
        """The place up to which the log may be read, None if there is no such limit."""
        return self._holds[0].after if self._holds else None

    def needs_of(self, seq: int, own: Hold | None) -> str | None:
        """Return what has to be stored for an event to count, which was told of a hold or none."""
        if own is not None and own.needs is not None:
            return own.needs
        before = [hold for hold in self._bound if hold.after < seq]
        return _behind_last(before) if before else self.needs

    def bind(self, hold: Hold, needs: str) -> None:
        """Take note what a hold is for, unless it is over."""
        with self._lock:
            if hold.is_over:
                return
            hold.needs = needs
            self._bound.append(hold)
            self._resolve(hold)

    def keep(self, hold: Hold) -> None:
        """Let go of a hold."""
        with self._lock:
            if hold.is_over:
                return
            hold.is_over = True
            self._resolve(hold)
            while self._holds and self._holds[0].is_over:
                self._holds.popleft()
            self._show()

    def settle(self) -> None:
        """Let go of all: the run is over."""
        with self._lock:
            for hold in tuple(self._holds):
                self.keep(hold)

    def drop(self) -> int | None:
        """Forget all, as nothing of what they are for will be stored; return what `limit` was.

        What was said behind that is for who goes on with the run.
        """
        with self._lock:
            limit = self.limit
            for hold in self._holds:
                hold.is_over = hold.is_bound = True
            self._holds.clear()
            self._bound.clear()
            self.open.clear()
            self._own = threading.local()
            self.needs = None
            settled, self._settled = self._settled, None
        if settled is not None:
            settled.set_result(None)
        return limit

    def unsettled(self) -> Future[None] | None:
        """Return what is resolved when it is known of all what they are for; None if it is."""
        with self._lock:
            if self.open and self._settled is None:
                self._settled = Future()
            return self._settled

    def _resolve(self, hold: Hold) -> None:
        if hold.is_bound:
            return
        hold.is_bound = True
        self.open.discard(hold)
        if self.open:
            return
        self._resolved()
        if self._bound:
            self.needs = _behind_last(self._bound)
            self._bound.clear()
        self._own = threading.local()
        settled, self._settled = self._settled, None
        if settled is not None:
            settled.set_result(None)


def _behind_last(bound: Iterable[Hold]) -> str:
    needs = max(bound, key=lambda hold: hold.after).needs
    assert needs is not None, "it is known what they are for"
    return behind(needs)
