"""How far to the right the vertices of a row stand.

Each row is put as near as it can be to where its neighbours in other rows want it: least squares
under the distances that the row needs, which pooling adjacent violators solves exactly. Vertices
that are merely passed want it more, so long lines are straight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from millstream.pictures.ranking import Rows

_FIRST: Final = 4
"""Rounds in which neighbours above, and then those below, count alone."""
_MOST: Final = 60
"""Rounds in which all count."""
_WORK: Final = 20_000
"""Vertices that are looked at in a kind of rounds: large graphs get fewer."""
_PASSED: Final = 8.0
"""How much more a line wants to be straight than a box to stand in the middle."""
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
    rounds = max(1, _WORK // (len(at) + 1))
    passes = [(rows.ups, False), (rows.downs, True)] * min(rounds, _FIRST)
    passes += [(both, False), (both, True)] * min(rounds, _MOST)
    for neighbours, is_upwards in passes:
        pairs: Iterable[tuple[Sequence[int], list[float]]] = zip(order, steps, strict=True)
        for row, offsets in reversed(list(pairs)) if is_upwards else pairs:
            _pull(rows, row, offsets, neighbours, at)
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
        beside |= zip(row, zip([None, *row], [*row[1:], None], strict=False), strict=True)

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


def _pull(
    rows: Rows,
    row: Sequence[int],
    offsets: Sequence[float],
    neighbours: Sequence[Sequence[int]],
    at: list[float],
) -> None:
    wanted, weights = [], []
    for vertex, offset in zip(row, offsets, strict=True):
        x, weight = _wish(rows, vertex, neighbours[vertex], at)
        wanted.append(x - offset)
        weights.append(weight)
    for vertex, offset, x in zip(row, offsets, increasing(wanted, weights), strict=True):
        at[vertex] = x + offset


def _wish(rows: Rows, vertex: int, near: Sequence[int], at: Sequence[float]) -> tuple[float, float]:
    if not near:
        return at[vertex], _FREE
    if vertex < rows.items:
        return sum([at[n] for n in near]) / len(near), float(len(near))
    pulls = [_PASSED if n >= rows.items else 1.0 for n in near]
    weight = sum(pulls)
    return sum([pull * at[n] for pull, n in zip(pulls, near, strict=True)]) / weight, weight


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
