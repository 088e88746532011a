"""Which row a vertex is in: cycles are opened, then every link leads downwards.

A vertex is a number. Rows are found by the longest way from above; then what has more links
downwards than upwards moves down as far as it can, which makes links shorter. A row of very many
becomes several: vertices of one row have no links with each other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

_WIDEST: Final = 12
"""Vertices in a row."""
_TRUNKS_FROM: Final = 3_000
"""Passing points from which on links to one vertex share theirs: without that, their number grows
with the square of that of the vertices. Those of folded rows always do."""


@dataclass(slots=True)
class Link:
    """An edge, or the part of one that lies in one level of nesting."""

    edge: int
    upper: int
    lower: int
    is_upward: bool = False
    """Whether the edge leads from `lower` to `upper`."""
    is_dashed: bool = False
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
    named: set[int] = field(default_factory=set)
    """Those of the others that have a label."""

    def is_passed(self, vertex: int) -> bool:
        """Return whether this is but a point of a line."""
        return vertex >= self.items and vertex not in self.named

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
    rank = _ranks(count, links, tops)
    folded = _fold(rank, links, tops | bottoms)
    _sink(rank, bottoms)
    rows = Rows(rank, [[] for _ in range(count)], [[] for _ in range(count)], count)
    passed = sum(rank[link.lower] - rank[link.upper] - 1 for link in links)
    ends = [vertex for link in links for vertex in (link.upper, link.lower)]
    degrees = Counter(ends)
    trunks: dict[object, int] = {}
    for link in links:
        hub = max(link.lower, link.upper, key=degrees.__getitem__)
        is_shared = passed > _TRUNKS_FROM or link.lower in folded or link.upper in folded
        _lead(rows, link, hub, _label_row(rank, link, folded), trunks if is_shared else {})
    return rows


def _ranks(count: int, links: Sequence[Link], tops: set[int]) -> list[int]:
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
    return rank


def _fold(rank: list[int], links: Sequence[Link], borders: set[int]) -> set[int]:
    """Have rows of too many become several, and return the vertices of such."""
    rows: dict[int, list[int]] = {}
    for vertex in range(len(rank)):
        if vertex not in borders:
            rows.setdefault(rank[vertex], []).append(vertex)
    named = {v for link in links if link.label is not None for v in (link.upper, link.lower)}
    folded: set[int] = set()
    shift = 0
    for row, vertices in sorted(rows.items()):
        count = math.ceil(len(vertices) / _WIDEST)
        # Labels need a row of their own in between.
        step = 1 if named.isdisjoint(vertices) else 2
        for place, vertex in enumerate(vertices):
            rank[vertex] = row + shift + place * count // len(vertices) * step
        if count > 1:
            folded.update(vertices)
        shift += (count - 1) * step
    return folded


def _sink(rank: list[int], bottoms: set[int]) -> None:
    """Put vertices into a row below all others."""
    last = max([row for vertex, row in enumerate(rank) if vertex not in bottoms], default=0)
    for vertex in bottoms:
        rank[vertex] = last + 1


def _label_row(rank: Sequence[int], link: Link, folded: set[int]) -> int | None:
    """Return the row of a link's label: beside the decision, or where few others have theirs."""
    if link.label is None:
        return None
    is_low = link.is_upward
    if (link.lower in folded) != (link.upper in folded):
        is_low = link.lower in folded
    return rank[link.lower] - 1 if is_low else rank[link.upper] + 1


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


def _lead(rows: Rows, link: Link, hub: int, named: int | None, trunks: dict[object, int]) -> None:
    """Find the path of a link; what leads to one hub, or away from it, may share its `trunks`."""
    path = [link.upper]
    for row in range(rows.rank[link.upper] + 1, rows.rank[link.lower]):
        key = (link.edge,) if row == named else (hub, row, link.is_upward, link.is_dashed)
        vertex = trunks.get(key)
        if vertex is None:
            vertex = trunks[key] = len(rows.rank)
            rows.rank.append(row)
            rows.ups.append([])
            rows.downs.append([])
        if row == named:
            link.label_at = vertex
            rows.named.add(vertex)
        path.append(vertex)
    path.append(link.lower)
    for upper, lower in pairwise(path):
        if lower < rows.items or upper < rows.items or lower not in rows.downs[upper]:
            rows.downs[upper].append(lower)
            rows.ups[lower].append(upper)
    link.path = tuple(path)
