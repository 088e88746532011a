"""Which row a vertex is in: cycles are opened, then every link leads downwards.

A vertex is a number. Rows are found by the longest way from above; then what has more links
downwards than upwards moves down as far as it can, which makes links shorter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_TRUNKS_FROM: Final = 3_000
"""Passing points from which on links to one vertex share theirs: without that, their number grows
with the square of that of the vertices."""


@dataclass(slots=True)
class Link:
    """An edge, or the part of one that lies in one level of nesting."""

    edge: int
    upper: int
    lower: int
    is_upward: bool = False
    """Whether the edge leads from `lower` to `upper`."""
    label: tuple[float, float] | None = None
    """Width and height of the text on it."""
    path: tuple[int, ...] = ()
    """All vertices that it passes, from `upper` to `lower`."""
    label_at: int | None = None
    """The vertex of its label."""


@dataclass(slots=True)
class Rows:
    """Vertices in rows, with those that stand for links where they pass a row."""

    rank: list[int]
    ups: list[list[int]]
    downs: list[list[int]]
    items: int
    """Vertices before this one are what is drawn, the others are passed."""

    def by_row(self) -> list[list[int]]:
        """Return the vertices of each row, in the order in which a walk from above meets them."""
        rows: list[list[int]] = [[] for _ in range(max(self.rank, default=-1) + 1)]
        seen = [False] * len(self.rank)
        for root in sorted(range(len(self.rank)), key=lambda v: (self.rank[v], v)):
            stack = [root]
            while stack:
                vertex = stack.pop()
                if not seen[vertex]:
                    seen[vertex] = True
                    rows[self.rank[vertex]].append(vertex)
                    stack += reversed(self.downs[vertex])
        return rows


def upward(count: int, edges: Sequence[tuple[int, int]]) -> list[bool]:
    """Say of each edge whether it closes a cycle, walking from the first vertex on."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    has_source = [False] * count
    for number, (source, target) in enumerate(edges):
        leaving[source].append(number)
        has_source[target] = True
    closes = [False] * len(edges)
    state = [0] * count  # 1: on the way from the root, 2: left behind
    for root in sorted(range(count), key=lambda v: (has_source[v], v)):
        if state[root]:
            continue
        state[root] = 1
        way = [(root, iter(leaving[root]))]
        while way:
            vertex, rest = way[-1]
            for number in rest:
                target = edges[number][1]
                if state[target] == 1:
                    closes[number] = True
                elif state[target] == 0:
                    state[target] = 1
                    way.append((target, iter(leaving[target])))
                    break
            else:
                state[vertex] = 2
                way.pop()
    return closes


def in_rows(count: int, links: Sequence[Link], tops: set[int], bottoms: set[int]) -> Rows:
    """Give each vertex a row, and each link its path.

    Those in `tops` are in the first row, those in `bottoms` in the last, with nothing else.
    """
    rank = _ranks(count, links, tops, bottoms)
    rows = Rows(rank, [[] for _ in range(count)], [[] for _ in range(count)], count)
    passed = sum(rank[link.lower] - rank[link.upper] - 1 for link in links)
    ends = [vertex for link in links for vertex in (link.upper, link.lower)]
    degrees = Counter(ends)
    trunks: dict[object, int] = {}
    for link in links:
        hub = max(link.lower, link.upper, key=degrees.__getitem__)
        _lead(rows, link, hub, trunks if passed > _TRUNKS_FROM else {})
    return rows


def _ranks(count: int, links: Sequence[Link], tops: set[int], bottoms: set[int]) -> list[int]:
    above: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    below: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for link in links:
        length = 1 if link.label is None else 2
        above[link.lower].append((link.upper, length))
        below[link.upper].append((link.lower, length))
    rank = [1 if tops and vertex not in tops else 0 for vertex in range(count)]
    order = _downwards(above, below)
    for vertex in order:
        rank[vertex] = max([rank[u] + length for u, length in above[vertex]] + [rank[vertex]])
    for vertex in reversed(order):
        if len(below[vertex]) > len(above[vertex]) and vertex not in tops:
            rank[vertex] = min(rank[v] - length for v, length in below[vertex])
    if bottoms:
        last = max([rank[v] for v in range(count) if v not in bottoms], default=0) + 1
        last = max([last] + [rank[v] for v in bottoms])
        for vertex in bottoms:
            rank[vertex] = last
    return rank


def _downwards(
    above: Sequence[Sequence[tuple[int, int]]], below: Sequence[Sequence[tuple[int, int]]]
) -> list[int]:
    open_links = [len(links) for links in above]
    order = [vertex for vertex, number in enumerate(open_links) if not number]
    for vertex in order:
        for lower, _ in below[vertex]:
            open_links[lower] -= 1
            if not open_links[lower]:
                order.append(lower)
    return order


def _lead(rows: Rows, link: Link, hub: int, trunks: dict[object, int]) -> None:
    """Find the path of a link; what leads to one hub, or away from it, may share its `trunks`."""
    first, last = rows.rank[link.upper], rows.rank[link.lower]
    named = None
    if link.label is not None:
        # A decision's label stands beside the decision.
        named = last - 1 if link.is_upward else first + 1
    path = [link.upper]
    for row in range(first + 1, last):
        key = (link.edge, row) if row == named else (hub, row, link.is_upward)
        vertex = trunks.get(key)
        if vertex is None:
            vertex = trunks[key] = len(rows.rank)
            rows.rank.append(row)
            rows.ups.append([])
            rows.downs.append([])
        if row == named:
            link.label_at = vertex
        path.append(vertex)
    path.append(link.lower)
    for upper, lower in pairwise(path):
        if lower < rows.items or upper < rows.items or lower not in rows.downs[upper]:
            rows.downs[upper].append(lower)
            rows.ups[lower].append(upper)
    link.path = tuple(path)
