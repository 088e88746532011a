"""What a node says, in batches: for ways on which each message has its price."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from millstream._base.clock import SYSTEM

SIZE: Final = 64
"""So many messages wait for no more."""
SECONDS: Final = 0.005
"""So long after the last batch the next one goes, however small it is."""
LARGEST: Final = 8 * SIZE
"""So many messages wait for no more where they come faster than that."""


def size_after(size: int, count: int, rest: float) -> int:
    """Return how many messages the next batch waits for, after one that has waited for `size`.

    `count` is how many that one has, `rest` the seconds for which it would have waited.
    """
    return min(2 * size, LARGEST) if count >= size and rest > 0 else SIZE


class Batches:
    """Takes messages from threads of a node, and gives them away in batches, in another thread.

    One that comes after a while goes at once, so that the first token of a model is not late; those
    that follow close upon it wait for each other, and the more of them the faster they come.
    Nothing waits that somebody waits for.
    """

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._change = threading.Condition()
        self._is_urgent = False
        self._has_ended = False
        self._size = SIZE
        """So many messages wait for no more now."""

    def put(self, message: bytes, is_urgent: bool) -> None:
        """Add a message; an urgent one takes those before it along."""
        with self._change:
            self._waiting.append(message)
            self._is_urgent |= is_urgent
            # Whoever waits is woken when there is a first one, and when it is time.
            if self._is_due() or len(self._waiting) == 1:
                self._change.notify()

    def end(self) -> None:
        """Let nothing more come."""
        with self._change:
            self._has_ended = True
            self._change.notify()

    def __iter__(self) -> Iterator[list[bytes]]:
        """Yield batches as long as messages come."""
        last = -SECONDS
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._has_ended)
                rest = last + SECONDS - SYSTEM.monotonic()
                if rest > 0:
                    self._change.wait_for(self._is_due, rest)
                batch, self._waiting = self._waiting, []
                self._size = size_after(self._size, len(batch), rest)
                self._is_urgent = False
            if not batch:
                return
            yield batch
            last = SYSTEM.monotonic()

    def _is_due(self) -> bool:
        return self._is_urgent or self._has_ended or len(self._waiting) >= self._size
