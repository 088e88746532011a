"""Arrange a graph: each nested graph by itself, then as one large box of the graph around it.

Ids say what is nested in what: `outer:inner` is `inner` in the frame `outer`. An edge that leaves a
frame goes first to a port at its border, which is a vertex of its own in the first or last row of
what is in the frame, and is led on from there by the graph around it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from millstream.pictures.arranged import Arranged, Frame, Line, Point, Rect
from millstream.pictures.fitting import fit
from millstream.pictures.level import Found, Item, Level, Port, Size, Tie
from millstream.pictures.measures import Measures

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be arranged."""

    boxes: Mapping[str, Size]
    """The size of each node's box, by its id."""
    edges: Sequence[tuple[str, str]]
    dashed: Set[int]
    """Those of them, by place, that are drawn so: they share no way with others."""
    labels: Mapping[int, Size]
    """The size of the label of an edge that has one, by its place among `edges`."""
    titles: Mapping[Path, float]
    """The width of the title of each frame."""


def arrange(drawing: Drawing, measures: Measures) -> Arranged:
    """Find a place for everything."""
    return _Arranging(drawing, measures).arranged()


def frames_of(node: str) -> Path:
    """Return the frames that a node is in, the outermost first."""
    return tuple(node.split(":")[:-1])


@dataclass(slots=True)
class _Nest:
    """A frame, or the whole: what is in it, and where."""

    path: Path
    children: list[str | _Nest] = field(default_factory=list)
    """Ids of nodes, and nests, in the order in which they came."""
    places: dict[str | Path, int] = field(default_factory=dict)
    """Where among them a node is, or a frame."""
    edges: list[int] = field(default_factory=list)
    """Those between two of the children."""
    found: Found = field(default_factory=Found)

    def add(self, key: str | Path, child: str | _Nest) -> None:
        """Add a child."""
        self.places[key] = len(self.children)
        self.children.append(child)

    def place(self, node: str) -> int:
        """Return which child a node is, or is in."""
        frames, depth = frames_of(node), len(self.path)
        return self.places[frames[: depth + 1] if len(frames) > depth else node]


class _Arranging:
    def __init__(self, drawing: Drawing, measures: Measures) -> None:
        self._drawing = drawing
        self._measures = measures
        self._nests: dict[Path, _Nest] = {(): _Nest(())}
        for node in drawing.boxes:
            self._nest(frames_of(node)).add(node, node)
        for edge, (source, target) in enumerate(drawing.edges):
            self._nests[_common(source, target)].edges.append(edge)
        self._solve(self._nests[()], [])

    def _nest(self, path: Path) -> _Nest:
        if path not in self._nests:
            around = self._nest(path[:-1])
            self._nests[path] = _Nest(path)
            around.add(path, self._nests[path])
        return self._nests[path]

    def _solve(self, nest: _Nest, exits: Sequence[tuple[str, Port]]) -> None:
        """Arrange a nest and all in it; `exits` are the nodes whose edges cross its border."""
        drawing = self._drawing
        ties = []
        for edge in nest.edges:
            source, target = map(nest.place, drawing.edges[edge])
            label, is_dashed = drawing.labels.get(edge), edge in drawing.dashed
            ties.append(Tie(edge, source, target, label, is_dashed))
        ports = [replace(port, item=nest.place(node)) for node, port in exits]
        level = Level(len(nest.children), ties, ports)
        crossing: list[list[tuple[str, Port]]] = [[] for _ in nest.children]
        for port, (node, _) in zip(ports, exits, strict=True):
            crossing[port.item].append((node, port))
        for edge, leaving, entering in level.crossings():
            for node, port in zip(drawing.edges[edge], (leaving, entering), strict=True):
                crossing[port.item].append((node, port))
        items = []
        for child, borders in zip(nest.children, crossing, strict=True):
            if isinstance(child, str):
                items.append(Item(*drawing.boxes[child]))
            else:
                self._solve(child, borders)
                items.append(self._framed(child))
        nest.found = fit(level, items, self._measures)

    def _framed(self, nest: _Nest) -> Item:
        measures, found = self._measures, nest.found
        # Whole, as the widths of boxes: their halves are on the grid.
        inner = math.ceil(max(found.width, self._drawing.titles[nest.path]))
        width = inner + 2 * measures.inside
        height = found.height + measures.above + measures.below
        return Item(width, height, {e: x + measures.inside for e, x in found.ports.items()})

    def arranged(self) -> Arranged:
        """Return where everything is in the whole."""
        found = self._nests[()].found
        arranged = Arranged(found.width, found.height)
        ways: dict[tuple[Path, int], list[Point]] = {}
        labels: dict[int, Rect] = {}
        self._collect(self._nests[()], (0.0, 0.0), arranged, ways, labels)
        for edge, (source, target) in enumerate(self._drawing.edges):
            points: list[Point] = []
            for path in _levels(source, target):
                way = ways[path, edge]
                points += way[1:] if points[-1:] == way[:1] else way
            arranged.lines.append(Line(edge, tuple(points), labels.get(edge)))
        return arranged

    def _collect(
        self,
        nest: _Nest,
        origin: Point,
        arranged: Arranged,
        ways: dict[tuple[Path, int], list[Point]],
        labels: dict[int, Rect],
    ) -> None:
        x, y = origin
        for child, rect in zip(nest.children, nest.found.rects, strict=True):
            if isinstance(child, str):
                arranged.boxes[child] = rect.moved(x, y)
                continue
            frame = rect.moved(x, y)
            arranged.frames.append(Frame(child.path, frame))
            inside = (frame.x + self._measures.inside, frame.y + self._measures.above)
            self._collect(child, inside, arranged, ways, labels)
        for edge, points in nest.found.ways.items():
            ways[nest.path, edge] = [(px + x, py + y) for px, py in points]
        labels.update({edge: rect.moved(x, y) for edge, rect in nest.found.labels.items()})


def _common(source: str, target: str) -> Path:
    """Return the innermost frame that two nodes are in."""
    common = 0
    for left, right in zip(frames_of(source), frames_of(target), strict=False):
        if left != right:
            break
        common += 1
    return frames_of(source)[:common]


def _levels(source: str, target: str) -> list[Path]:
    """Return the frames that an edge crosses: out of those of its source, over, and in."""
    common = _common(source, target)
    outwards = [
        frames_of(source)[:depth] for depth in range(len(frames_of(source)), len(common), -1)
    ]
    inwards = [
        frames_of(target)[:depth] for depth in range(len(common) + 1, len(frames_of(target)) + 1)
    ]
    return [*outwards, common, *inwards]
