"""A graph as SVG, which is XML: every text that is written is escaped.

There is no script in it, and nothing that is loaded from elsewhere. Arrowheads are shapes of their
own: markers have ids, and several pictures on a page would take each other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, get_args
from xml.sax.saxutils import escape as escaped
from xml.sax.saxutils import quoteattr

from langchain_core.runnables.graph import Graph, Node

from millstream.constants import END, START
from millstream.pictures.arranged import Arranged, Frame, Line, Point, Rect
from millstream.pictures.measures import PIXELS
from millstream.pictures.nesting import Drawing, arrange, frames_of
from millstream.pictures.texts import edge_lines, node_lines, notes, shown, width

Piece = tuple[Point, Point]
Scheme = Literal["auto", "light", "dark"]
"""Colours: as whoever looks at it prefers, or always the same."""

_SIZE: Final = 13.0
_SMALL: Final = 11.0
_LEADING: Final = 1.3
_MARGIN: Final = 16
_PAD: Final = 14
_HEAD: Final = 7.0
FACES: Final = (
    "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', 'Noto Sans', Roboto, Ubuntu, 'Open Sans', "
    "FreeSans, Verdana, sans-serif"
)
"""Typefaces, all by name: what draws PNG does not know which one is meant by sans-serif."""

_LIGHT: Final = {
    "canvas": "#ffffff",
    "box": "#eef3fb",
    "border": "#7d96bd",
    "end": "#e4e7ec",
    "frame": "#f7f8fa",
    "edge": "#5a6675",
    "ink": "#17202b",
    "note": "#4a5665",
}
_DARK: Final = {
    "canvas": "#14181d",
    "box": "#22304a",
    "border": "#6f8cbc",
    "end": "#333b46",
    "frame": "#1b2027",
    "edge": "#9aa7b8",
    "ink": "#eef2f7",
    "note": "#b3bfce",
}


def svg(
    graph: Graph,
    *,
    scheme: Scheme = "auto",
    canvas: str | None = None,
    faces: str = FACES,
    title: str = "Graph",
) -> str:
    """Return an SVG document that shows a graph.

    Args:
        graph: Its nodes and edges.
        scheme: Its colours.
        canvas: Another colour behind it, in CSS, whatever the scheme.
        faces: Typefaces, in CSS.
        title: What it is called by whatever reads it aloud.

    Raises:
        ValueError: There is no such scheme.
    """
    if scheme not in get_args(Scheme):
        known = ", ".join(map(repr, get_args(Scheme)))
        raise ValueError(f"there is no scheme {scheme!r}; give one of {known}")
    words = _Words(graph)
    arranged = arrange(words.drawing, PIXELS)
    wide, high = arranged.width + 2 * _MARGIN, arranged.height + 2 * _MARGIN
    size = f'width="{_number(wide)}" height="{_number(high)}"'
    nodes, edges = len(graph.nodes), len(graph.edges)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="{-_MARGIN} {-_MARGIN} {_number(wide)} {_number(high)}" role="img" '
            f'class="ms-graph ms-{scheme}" style="max-width:100%;height:auto">',
            f"<title>{escaped(shown(title))}: {nodes} nodes, {edges} edges</title>",
            f"<style>{escaped(_style(scheme, canvas, faces))}</style>",
            f'<rect class="ms-canvas" x="{-_MARGIN}" y="{-_MARGIN}" {size} rx="8"/>',
            *map(_frame, arranged.frames),
            *_edges(graph, arranged.lines),
            *map(_title, arranged.frames),
            *_labels(words, arranged),
            *(_node(node, words, arranged.boxes[id]) for id, node in graph.nodes.items()),
            "</svg>\n",
        ]
    )


class _Words:
    """What is written on a graph, and how large that is."""

    def __init__(self, graph: Graph) -> None:
        self.names = {id: node_lines(node) for id, node in graph.nodes.items()}
        self.notes = {id: notes(node.metadata) for id, node in graph.nodes.items()}
        self.labels = {
            number: lines for number, edge in enumerate(graph.edges) if (lines := edge_lines(edge))
        }
        self.drawing = Drawing(
            {id: self._box(id) for id in graph.nodes},
            [(edge.source, edge.target) for edge in graph.edges],
            {number for number, edge in enumerate(graph.edges) if edge.conditional},
            {number: self._label(lines) for number, lines in self.labels.items()},
            {
                frames_of(id)[:depth]: width(shown(frames_of(id)[depth - 1]), _SMALL)
                for id in graph.nodes
                for depth in range(1, len(frames_of(id)) + 1)
            },
        )

    def _box(self, id: str) -> tuple[float, float]:
        wide = [width(line, _SIZE) for line in self.names[id]]
        wide += [width(line, _SMALL) for line in self.notes[id]]
        high = len(self.names[id]) * _SIZE * _LEADING + len(self.notes[id]) * _SMALL * _LEADING
        return float(round(max([*wide, 28]) + 2 * _PAD)), float(round(high + 18))

    def _label(self, lines: Sequence[str]) -> tuple[float, float]:
        wide = max(width(line, _SMALL) for line in lines)
        return float(round(wide + 10)), float(round(len(lines) * _SMALL * _LEADING + 4))


def _style(scheme: Scheme, canvas: str | None, faces: str) -> str:
    other = {} if canvas is None else {"canvas": canvas}
    # Rules in a page are for all pictures of it, and each of them may have other colours.
    own = f".ms-{scheme}"
    rules = _rules(own, (_DARK if scheme == "dark" else _LIGHT) | other)
    if scheme == "auto":
        rules += f"@media (prefers-color-scheme: dark) {{{_rules(own, _DARK | other)}}}"
    return (
        f".ms-graph text {{font-family: {faces}; font-size: {_SIZE:g}px; text-anchor: middle}}"
        f".ms-graph .ms-note, .ms-graph .ms-label text, .ms-graph .ms-title "
        f"{{font-size: {_SMALL:g}px}}"
        ".ms-graph .ms-title {text-anchor: start}"
        ".ms-graph .ms-edge path {fill: none; stroke-width: 1.4}"
        ".ms-graph .ms-conditional .ms-line {stroke-dasharray: 5 4}"
        f"{rules}"
    )


def _rules(own: str, colours: Mapping[str, str]) -> str:
    paint = {
        ".ms-canvas": "fill: {canvas}",
        ".ms-frame rect": "fill: {frame}; stroke: {border}; stroke-dasharray: 2 3",
        ".ms-node rect": "fill: {box}; stroke: {border}",
        ".ms-end rect": "fill: {end}; stroke: {edge}",
        "text": "fill: {ink}",
        ".ms-note": "fill: {note}",
        # Lines may pass below it.
        ".ms-title": "fill: {note}; stroke: {frame}; stroke-width: 5px; paint-order: stroke",
        ".ms-label rect": "fill: {canvas}",
        ".ms-inside rect": "fill: {frame}",
        ".ms-edge .ms-line": "stroke: {edge}",
        ".ms-edge .ms-head": "fill: {edge}; stroke: {edge}",
    }
    return "".join(f"{own} {where} {{{what.format_map(colours)}}}" for where, what in paint.items())


def _frame(frame: Frame) -> str:
    path = quoteattr(shown(":".join(frame.path)))
    return f'<g class="ms-frame" data-path={path}><rect {_place(frame.rect)} rx="10"/></g>'


def _title(frame: Frame) -> str:
    x, y = _number(frame.rect.x + 12), _number(frame.rect.y + 18)
    return f'<text class="ms-title" x="{x}" y="{y}">{escaped(shown(frame.path[-1]))}</text>'


def _node(node: Node, words: _Words, rect: Rect) -> str:
    names, said = words.names[node.id], words.notes[node.id]
    is_end = node.name in (START, END)
    middle = _number(rect.x + rect.width / 2)
    text = []
    y = rect.y + 9 + _SIZE
    for line in names:
        text.append(f'<text x="{middle}" y="{_number(y)}">{escaped(line)}</text>')
        y += _SIZE * _LEADING
    for line in said:
        text.append(
            f'<text class="ms-note" x="{middle}" y="{_number(y - 1.5)}">{escaped(line)}</text>'
        )
        y += _SMALL * _LEADING
    radius = min(rect.height / 2, 17) if is_end else 6
    return (
        f'<g class="ms-node{" ms-end" if is_end else ""}" data-node={quoteattr(shown(node.id))}>'
        f"<title>{escaped(shown(node.name))}</title>"
        f'<rect {_place(rect)} rx="{_number(radius)}"/>{"".join(text)}</g>'
    )


def _edges(graph: Graph, lines: Sequence[Line]) -> Iterator[str]:
    # What several share is drawn once: dashes that lie on each other look like a line.
    drawn: tuple[set[Piece], set[Piece]] = (set(), set())
    for line in lines:
        edge = graph.edges[line.edge]
        kind = " ms-conditional" if edge.conditional else ""
        source, target = quoteattr(shown(edge.source)), quoteattr(shown(edge.target))
        if edge.source == edge.target:
            way = _loop(line.points)
        else:
            way = _way(line.points, drawn[edge.conditional])
        yield (
            f'<g class="ms-edge{kind}" data-source={source} data-target={target}>'
            f'<path class="ms-line" d="{way}"/>'
            f'<path class="ms-head" d="{_head(line.points)}"/></g>'
        )


def _loop(points: Sequence[Point]) -> str:
    return f"M{_at(points[0])} C{' '.join(map(_at, points[1:3]))} {_at(_before(points))}"


def _way(points: Sequence[Point], drawn: set[Piece]) -> str:
    way, is_down = [f"M{_at(points[0])}"], True
    for piece in pairwise(points):
        if piece in drawn:
            is_down = False
            continue
        drawn.add(piece)
        (x, y), (to_x, to_y) = piece
        if not is_down:
            way.append(f"M{_at((x, y))}")
            is_down = True
        # All curves of a gap begin and end at the same heights, so those side by side do not cross.
        stub = _HEAD - 1 if to_y > y else 1 - _HEAD
        if x != to_x:
            start, end = y + stub, to_y - stub
            middle = (start + end) / 2
            bend = f"{_at((x, middle))} {_at((to_x, middle))} {_at((to_x, end))}"
            way.append(f"L{_at((x, start))} C{bend}")
        way.append(f"L{_at((to_x, to_y) if (to_x, to_y) != points[-1] else _before(points))}")
    return " ".join(way)


def _before(points: Sequence[Point]) -> Point:
    """Return where a line ends so that its arrowhead covers the end."""
    x, y = points[-1]
    dx, dy = _direction(points)
    return x - dx * (_HEAD - 1), y - dy * (_HEAD - 1)


def _direction(points: Sequence[Point]) -> tuple[int, int]:
    (before_x, before_y), (x, y) = points[-2:]
    # What is not a loop comes from above or below.
    return ((x > before_x) - (x < before_x), 0) if y == before_y else (0, 1 if y > before_y else -1)


def _head(points: Sequence[Point]) -> str:
    x, y = points[-1]
    dx, dy = _direction(points)
    back_x, back_y = x - dx * _HEAD, y - dy * _HEAD
    side = _HEAD / 2
    left, right = (back_x - dy * side, back_y - dx * side), (back_x + dy * side, back_y + dx * side)
    return f"M{_at((x, y))} L{_at(left)} L{_at(right)} Z"


def _labels(words: _Words, arranged: Arranged) -> Iterator[str]:
    for line in arranged.lines:
        if line.label is None:
            continue
        rect, middle = line.label, _number(line.label.x + line.label.width / 2)
        text = "".join(
            f'<text x="{middle}" y="{_number(rect.y + _SMALL + 1 + place * _SMALL * _LEADING)}">'
            f"{escaped(words)}</text>"
            for place, words in enumerate(words.labels[line.edge])
        )
        is_inside = any(_covers(frame.rect, rect) for frame in arranged.frames)
        kind = "ms-label ms-inside" if is_inside else "ms-label"
        yield f'<g class="{kind}"><rect {_place(rect)} rx="3"/>{text}</g>'


def _covers(frame: Rect, label: Rect) -> bool:
    return frame.x <= label.x <= frame.right and frame.y <= label.y <= frame.bottom


def _place(rect: Rect) -> str:
    x, y = _number(rect.x), _number(rect.y)
    return f'x="{x}" y="{y}" width="{_number(rect.width)}" height="{_number(rect.height)}"'


def _at(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
