"""In which order the vertices of a row stand: so that few lines cross.

Rows are sorted by the mean place of their neighbours above, then of those below, and so on
(Sugiyama, Tagawa and Toda 1981); the best order seen is taken. Then neighbours change places
where that helps.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Final

from millstream.pictures.ranking import Rows

_SWEEPS: Final = 24
_PATIENCE: Final = 6
"""Sweeps without anything better, after which it is enough."""
_WORK: Final = 60_000
"""Vertices that are looked at in all: large graphs get fewer sweeps."""


def in_order(rows: Rows) -> list[list[int]]:
    """Return the vertices of each row from left to right."""
    order = rows.by_row()
    place = [0] * len(rows.rank)
    for row in order:
        _number(row, place)
    best, fewest = [list(row) for row in order], crossings(rows, order, place)
    since = 0
    for sweep in range(max(4, min(_SWEEPS, _WORK // (len(rows.rank) + 1)))):
        if not fewest or since > _PATIENCE:
            break
        _sweep(rows, order, place, is_down=sweep % 2 == 0)
        found = crossings(rows, order, place)
        since += 1
        if found < fewest:
            best, fewest, since = [list(row) for row in order], found, 0
    if fewest and len(rows.rank) * 20 < _WORK:
        for row in best:
            _number(row, place)
        _exchange(rows, best, place)
    return best


def crossings(rows: Rows, order: Sequence[Sequence[int]], place: Sequence[int]) -> int:
    """Return how many lines cross."""
    total = 0
    for row in order:
        met: list[int] = []
        for vertex in row:
            below = sorted(place[lower] for lower in rows.downs[vertex])
            total += sum(len(met) - bisect_right(met, at) for at in below)
            for at in below:
                insort(met, at)
    return total


def _number(row: Sequence[int], place: list[int]) -> None:
    for at, vertex in enumerate(row):
        place[vertex] = at


def _sweep(rows: Rows, order: list[list[int]], place: list[int], *, is_down: bool) -> None:
    neighbours = rows.ups if is_down else rows.downs
    for row in order if is_down else reversed(order):
        mean = {
            vertex: sum(place[n] for n in near) / len(near)
            if (near := neighbours[vertex])
            else place[vertex]
            for vertex in row
        }
        row.sort(key=mean.__getitem__)
        _number(row, place)


def _exchange(rows: Rows, order: list[list[int]], place: list[int]) -> None:
    for _ in range(_PATIENCE):
        is_better = False
        for row in order:
            for at in range(len(row) - 1):
                left, right = row[at], row[at + 1]
                if _between(rows, left, right, place) > _between(rows, right, left, place):
                    row[at], row[at + 1] = right, left
                    place[left], place[right] = at + 1, at
                    is_better = True
        if not is_better:
            return


def _between(rows: Rows, left: int, right: int, place: Sequence[int]) -> int:
    """Return how many lines of two neighbours cross if they stand in this order."""
    return sum(
        place[a] > place[b]
        for near in (rows.ups, rows.downs)
        for a in near[left]
        for b in near[right]
    )
