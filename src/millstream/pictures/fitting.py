"""Find out where everything of one level is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from millstream.pictures.arranged import Point, Rect
from millstream.pictures.level import Found, Item, Level, Tie
from millstream.pictures.measures import Measures
from millstream.pictures.ordering import in_order
from millstream.pictures.placing import placed, straighten
from millstream.pictures.ranking import in_rows


def fit(level: Level, items: Sequence[Item], measures: Measures) -> Found:
    """Arrange the items of a level, and the lines between them."""
    return _Fitting(level, items, measures).found


class _Fitting:
    """The steps of it: each needs what those before it have found."""

    def __init__(self, level: Level, items: Sequence[Item], measures: Measures) -> None:
        self._level = level
        self._items = items
        self._measures = measures
        tops = {vertex for vertex, port in level.ports if port.is_top}
        bottoms = {vertex for vertex, port in level.ports if not port.is_top}
        self._rows = in_rows(level.count + len(level.ports), level.links, tops, bottoms)
        self._order = in_order(self._rows)
        self._labels = {
            link.label_at: link.label for link in level.links if link.label_at is not None
        }
        self._extents = [self._extent(vertex) for vertex in range(len(self._rows.rank))]
        self._borders = {self._rows.rank[vertex] for vertex in tops | bottoms}
        self._xs = self._columns()
        self._sides = self._ends()
        self.found = Found()
        self._heights = [self._height(row) for row in self._order]
        self._tops = self._lay_rows()
        self._set_boxes()
        self._set_ways()
        self._set_labels()
        self._set_loops()
        self._measure()

    def _extent(self, vertex: int) -> tuple[float, float]:
        """Return how far a vertex reaches to the left and to the right of where lines meet it."""
        line = 1.0 if self._measures.is_whole else 0.0
        if vertex < self._level.count:
            width = self._items[vertex].width
            beside = sum(self._reach(tie) for tie in self._level.loops if tie.source == vertex)
            left = self._half(width)
            return left, width - left + beside
        if (label := self._labels.get(vertex)) is None:
            return 0.0, line
        left = self._half(label[0])
        return left, label[0] - left

    def _reach(self, loop: Tie) -> float:
        return self._measures.loop + (loop.label[0] if loop.label is not None else 0)

    def _half(self, length: float) -> float:
        return length // 2 if self._measures.is_whole else length / 2

    def _columns(self) -> list[float]:
        def distance(left: int, right: int) -> float:
            count = self._level.count
            both = left < count and right < count
            gap = self._measures.between if both else self._measures.beside
            return self._extents[left][1] + gap + self._extents[right][0]

        at = placed(self._rows, self._order, distance)
        straighten(at, self._order, self._chains(), distance)
        xs = [self._measures.on_grid(x) for x in at]
        first = min([x - extent[0] for x, extent in zip(xs, self._extents, strict=True)], default=0)
        return [round(x - first, 1) for x in xs]

    def _chains(self) -> Iterator[list[int]]:
        """Yield what long lines pass, the longest first, each vertex once."""
        seen: set[int] = set()
        for link in sorted(self._level.links, key=lambda link: -len(link.path)):
            chain: list[int] = []
            for vertex in link.path[1:-1]:
                if vertex not in seen:
                    seen.add(vertex)
                    chain.append(vertex)
                elif chain:
                    yield chain
                    chain = []
            yield chain

    def _ends(self) -> list[tuple[float, float]]:
        """Return the x at which each link leaves its upper vertex and enters its lower one."""
        links = self._level.links
        sides: dict[tuple[int, bool], list[int]] = {}
        for number, link in enumerate(links):
            sides.setdefault((link.upper, False), []).append(number)
            sides.setdefault((link.lower, True), []).append(number)
        found: dict[tuple[int, bool], float] = {}
        for (vertex, is_lower), numbers in sides.items():
            nearest = -2 if is_lower else 1
            # What shares its way from here on, or up to here, meets the vertex in one place.
            meeting: dict[tuple[float, int], list[int]] = {}
            for number in numbers:
                next_one = links[number].path[nearest]
                own = next_one if next_one >= self._rows.items else number
                meeting.setdefault((self._xs[next_one], own), []).append(number)
            for place, (_, together) in enumerate(sorted(meeting.items())):
                for number in together:
                    offset = self._port(vertex, links[number].edge, place, len(meeting))
                    found[number, is_lower] = self._xs[vertex] + offset
        return [(found[n, False], found[n, True]) for n in range(len(links))]

    def _port(self, vertex: int, edge: int, place: int, count: int) -> float:
        """Return how far right of its middle a vertex is met by one of the lines at one side."""
        if vertex >= self._level.count:
            return 0.0
        item = self._items[vertex]
        if item.ports is not None:
            return item.ports[edge] - self._extents[vertex][0]
        room = item.width - 2 * self._measures.corner
        step = min(self._measures.port, room / max(1, count - 1))
        return self._measures.on_grid((place - (count - 1) / 2) * step)

    def _height(self, row: Sequence[int]) -> float:
        items = [self._items[vertex].height for vertex in row if vertex < self._level.count]
        labels = [self._labels[vertex] for vertex in row if vertex in self._labels]
        return max([*items, *(label[1] for label in labels if label)], default=0)

    def _lay_rows(self) -> list[float]:
        """Return the y of each row; how lines cross the gap below it is kept."""
        spans: list[list[tuple[int, float, float]]] = [[] for _ in self._order]
        for number, link in enumerate(self._level.links):
            xs = self._stations(number)
            for place, vertex in enumerate(link.path[:-1]):
                row = self._rows.rank[vertex]
                spans[row].append((number, xs[place][1], xs[place + 1][0]))
        self._bends: list[dict[int, tuple[Point, ...]]] = []
        tops, y = [], 0.0
        for row, height in enumerate(self._heights):
            tops.append(y)
            is_border = bool(self._borders & {row, row + 1})
            gap = self._measures.gap([(start, end) for _, start, end in spans[row]], is_border)
            numbers = [number for number, _, _ in spans[row]]
            self._bends.append(dict(zip(numbers, gap.ways, strict=True)))
            y += height + gap.height
        return tops

    def _stations(self, number: int) -> list[tuple[float, float]]:
        """Return the x at which a link enters and leaves each vertex of its path."""
        start, end = self._sides[number]
        passed = [self._xs[vertex] for vertex in self._level.links[number].path[1:-1]]
        return [(start, start), *zip(passed, passed, strict=True), (end, end)]

    def _set_boxes(self) -> None:
        for vertex, item in enumerate(self._items):
            row = self._rows.rank[vertex]
            free = self._heights[row] - item.height
            y = self._tops[row] + self._half(free)
            x = self._xs[vertex] - self._extents[vertex][0]
            self.found.rects.append(Rect(x, y, item.width, item.height))

    def _set_ways(self) -> None:
        for number, link in enumerate(self._level.links):
            points: list[Point] = []
            for (x, _), vertex in zip(self._stations(number), link.path, strict=True):
                row = self._rows.rank[vertex]
                top, bottom = self._tops[row], self._tops[row] + self._heights[row]
                box = self.found.rects[vertex] if vertex < self._level.count else None
                if vertex == link.upper:
                    points += [(x, box.bottom if box else bottom), (x, bottom)]
                elif vertex == link.lower:
                    points += [(x, top), (x, box.y if box else top)]
                else:
                    points += [(x, top), (x, bottom)]
                if vertex != link.lower:
                    points += [(px, bottom + py) for px, py in self._bends[row][number]]
            different = [
                p for p, before in zip(points, [None, *points], strict=False) if p != before
            ]
            way = tuple(reversed(different) if link.is_upward else different)
            self.found.ways[link.edge] = way

    def _set_labels(self) -> None:
        for link in self._level.links:
            if link.label is None or link.label_at is None:
                continue
            width, height = link.label
            row = self._rows.rank[link.label_at]
            free = self._heights[row] - height
            x = self._xs[link.label_at] - self._extents[link.label_at][0]
            y = self._tops[row] + self._half(free)
            self.found.labels[link.edge] = Rect(x, y, width, height)

    def _set_loops(self) -> None:
        is_whole = self._measures.is_whole
        taken = dict.fromkeys((tie.source for tie in self._level.loops), 0.0)
        for tie in self._level.loops:
            box = self.found.rects[tie.source]
            reach = taken[tie.source] + self._measures.loop
            taken[tie.source] += self._reach(tie)
            inset = 0 if is_whole else box.height / 4
            top, bottom = box.y + inset, box.bottom - inset - int(is_whole)
            side = box.right + reach - 2 * int(is_whole)
            corners = (side, top), (side, bottom)
            self.found.ways[tie.edge] = (box.right, top), *corners, (box.right, bottom)
            if tie.label is not None:
                width, height = tie.label
                y = box.y + self._half(box.height - height)
                self.found.labels[tie.edge] = Rect(box.right + reach, y, width, height)

    def _measure(self) -> None:
        found = self.found
        found.ports = {port.edge: self._xs[vertex] for vertex, port in self._level.ports}
        reaches = zip(self._xs, self._extents, strict=True)
        # Curves and tracks stay between the vertices that they join.
        found.width = max([x + extent[1] for x, extent in reaches], default=0)
        found.height = self._tops[-1] + self._heights[-1] if self._tops else 0
