"""How lines cross the gap between two rows: as curves, or along tracks.

A line comes down into the gap at one x and leaves it downwards at another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from millstream.pictures.arranged import Point

Span = tuple[float, float]
"""Where a line enters a gap from above, and where it leaves it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap: how high it is, and the points between its borders that each line passes."""

    height: float
    ways: Sequence[tuple[Point, ...]]
    """y is counted from the upper border."""


def curved(spans: Sequence[Span], least: float, most: float) -> Gap:
    """Return a gap that curves cross, higher where they go far to the side."""
    side = max([abs(end - start) for start, end in spans], default=0)
    return Gap(min(most, max(least, side / 5)), [()] * len(spans))


def tracked(spans: Sequence[Span]) -> Gap:
    """Return a gap that lines cross along rows of characters, no two of them in one place.

    They may cross. A line that leaves where another enters takes a row below that one's, if the
    two do not want that of each other.
    """
    whole = [(round(start), round(end)) for start, end in spans]
    taken: list[int] = []  # columns of each row, as bits
    below: dict[int, int] = {}  # where lines enter -> the first row below theirs
    rows: dict[tuple[int, int], int] = {}
    # Lines that share their way are one.
    for start, end in _entering_first(span for span in dict.fromkeys(whole) if span[0] != span[1]):
        left, right = min(start, end), max(start, end)
        columns = ((1 << (right - left + 1)) - 1) << left
        row = below.get(end, 0)
        while row < len(taken) and taken[row] & columns:
            row += 1
        taken += [0] * (row + 1 - len(taken))
        taken[row] |= columns
        rows[start, end] = row
        below[start] = max(below.get(start, 0), row + 1)
    ways: list[tuple[Point, ...]] = [
        tuple((x, rows[span] + 1.0) for x in span) if span in rows else () for span in whole
    ]
    return Gap(len(taken) + 2.0, ways)


def _entering_first(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield lines so that those which enter where another leaves come before that one."""
    waiting = sorted(spans, key=lambda span: (abs(span[1] - span[0]), span))
    entering = Counter(start for start, _ in waiting)
    leaving: dict[int, list[tuple[int, int]]] = {}
    for span in waiting:
        leaving.setdefault(span[1], []).append(span)
    free = [span for span in waiting if not entering[span[1]]]
    given: set[tuple[int, int]] = set()
    for span in waiting:
        # Whoever is still here waits in a circle, and breaks it.
        for next_one in [*free, span]:
            free = []
            stack = [next_one]
            while stack:
                chosen = stack.pop()
                if chosen in given:
                    continue
                given.add(chosen)
                yield chosen
                entering[chosen[0]] -= 1
                if not entering[chosen[0]]:
                    stack += reversed(leaving.get(chosen[0], ()))
