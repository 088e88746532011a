"""How far to the right the vertices of a row stand.

Each row is put as near as it can be to where its neighbours in other rows want it: least squares
under the distances that the row needs, which pooling adjacent violators solves exactly. Vertices
that are merely passed want it more, so long lines are straight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from millstream.pictures.ranking import Rows

_FIRST: Final = 4
"""Rounds in which neighbours above, and then those below, count alone."""
_MOST: Final = 60
"""Rounds in which all count."""
_WORK: Final = 20_000
"""Vertices that are looked at in a kind of rounds: large graphs get fewer."""
_DIRECT: Final = 4.0
_PASSED: Final = 8.0
_MIXED: Final = 1.0
"""How much two boxes want to stand below each other, two points of a long line, and one and the
other: what leads on is straight before what leads away."""
_FREE: Final = 0.05
"""How much a vertex without neighbours wants to stay."""


def placed(
    rows: Rows, order: Sequence[Sequence[int]], distance: Callable[[int, int], float]
) -> list[float]:
    """Return the x of each vertex; `distance` says how far two neighbours in a row are apart."""
    at = [0.0] * len(rows.rank)
    steps = [_steps(row, distance) for row in order]
    for row, offsets in zip(order, steps, strict=True):
        middle = offsets[-1] / 2 if offsets else 0.0
        for vertex, offset in zip(row, offsets, strict=True):
            at[vertex] = offset - middle
    both = [up + down for up, down in zip(rows.ups, rows.downs, strict=True)]
    above, below = _wishes(rows, rows.ups), _wishes(rows, rows.downs)
    around = _wishes(rows, both, is_whole=True)
    rounds = max(1, _WORK // (len(at) + 1))
    passes = [(above, False), (below, True)] * min(rounds, _FIRST)
    passes += [(around, False), (around, True)] * min(rounds, _MOST)
    pairs = list(zip(order, steps, strict=True))
    for wishes, is_upwards in passes:
        for row, offsets in reversed(pairs) if is_upwards else pairs:
            _pull(row, offsets, wishes, at)
    return at


def straighten(
    at: list[float],
    order: Sequence[Sequence[int]],
    chains: Iterable[Sequence[int]],
    distance: Callable[[int, int], float],
) -> None:
    """Put the vertices of each chain on as few verticals as their neighbours in the rows leave."""
    beside: dict[int, tuple[int | None, int | None]] = {}
    for row in order:
        beside |= zip(row, zip([None, *row], [*row[1:], None], strict=False), strict=False)

    def room(vertex: int) -> tuple[float, float]:
        left, right = beside[vertex]
        return (
            -math.inf if left is None else at[left] + distance(left, vertex),
            math.inf if right is None else at[right] - distance(vertex, right),
        )

    for chain in chains:
        rest = list(chain)
        while rest:
            low, high = room(rest[0])
            together = 1
            while together < len(rest):
                more_low, more_high = room(rest[together])
                if max(low, more_low) > min(high, more_high):
                    break
                low, high = max(low, more_low), min(high, more_high)
                together += 1
            wanted = sum([at[vertex] for vertex in rest[:together]]) / together
            for vertex in rest[:together]:
                at[vertex] = min(max(wanted, low), high)
            del rest[:together]


def _steps(row: Sequence[int], distance: Callable[[int, int], float]) -> list[float]:
    offsets = [0.0] if row else []
    for left, right in pairwise(row):
        offsets.append(offsets[-1] + distance(left, right))
    return offsets


@dataclass(frozen=True, slots=True)
class _Wish:
    """Where a vertex wants to stand: at the mean of others, and how much each counts."""

    others: Sequence[int]
    pulls: Sequence[float]
    weight: float


def _wishes(
    rows: Rows, neighbours: Sequence[Sequence[int]], *, is_whole: bool = False
) -> list[_Wish]:
    wishes = []
    for vertex, near in enumerate(neighbours):
        if rows.is_passed(vertex) and not is_whole:
            # What joins a line from one side, or leaves it, does not bend it.
            near = [n for n in near if rows.is_passed(n)] or near
        pulls = [_pull_of(rows, vertex, other) for other in near]
        wishes.append(_Wish(near, pulls, sum(pulls)))
    return wishes


def _pull_of(rows: Rows, vertex: int, other: int) -> float:
    if rows.is_passed(vertex) and rows.is_passed(other):
        return _PASSED
    return _DIRECT if vertex < rows.items and other < rows.items else _MIXED


def _pull(
    row: Sequence[int], offsets: Sequence[float], wishes: Sequence[_Wish], at: list[float]
) -> None:
    wanted, weights = [], []
    for vertex, offset in zip(row, offsets, strict=True):
        wish = wishes[vertex]
        if wish.others:
            pulled = zip(wish.others, wish.pulls, strict=True)
            x, weight = sum([at[n] * pull for n, pull in pulled]) / wish.weight, wish.weight
        else:
            x, weight = at[vertex], _FREE
        wanted.append(x - offset)
        weights.append(weight)
    for vertex, offset, x in zip(row, offsets, increasing(wanted, weights), strict=True):
        at[vertex] = x + offset


def increasing(wanted: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the numbers that never fall and differ least from those that are wanted."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(wanted, weights, strict=True):
        count = 1
        while pools and pools[-1][0] > value:
            other, heavier, more = pools.pop()
            value = (value * weight + other * heavier) / (weight + heavier)
            weight, count = weight + heavier, count + more
        pools.append((value, weight, count))
    return [value for value, _, count in pools for _ in range(count)]
