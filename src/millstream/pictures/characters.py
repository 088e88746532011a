"""A graph drawn with characters that every terminal has.

Edges that are always taken are `|` and `-`, those of a decision `:` and `.`; `v` and `^` are their
heads. Where lines cross, the one that goes down or up is seen. Nested graphs stand in brackets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from langchain_core.runnables.graph import Graph

from millstream.pictures.arranged import Frame, Line, Point, Rect
from millstream.pictures.measures import CHARACTERS
from millstream.pictures.nesting import Drawing, arrange, frames_of
from millstream.pictures.texts import cells, edge_lines, node_lines, shown

_LINES: Final = 16


def characters(graph: Graph) -> str:
    """Return lines of characters that show a graph."""
    names = {id: node_lines(node) for id, node in graph.nodes.items()}
    labels = {number: edge_lines(edge) for number, edge in enumerate(graph.edges)}
    labels = {number: lines for number, lines in labels.items() if lines}
    leaving = Counter(edge.source for edge in graph.edges)
    entering = Counter(edge.target for edge in graph.edges)
    drawing = Drawing(
        {
            # So wide that the lines at one side have a column between them, within reason.
            id: (
                max(*map(cells, lines), 2 * min(_LINES, max(leaving[id], entering[id])) - 1) + 4.0,
                len(lines) + 2.0,
            )
            for id, lines in names.items()
        },
        [(edge.source, edge.target) for edge in graph.edges],
        {number for number, edge in enumerate(graph.edges) if edge.conditional},
        {n: (float(max(map(cells, lines))), float(len(lines))) for n, lines in labels.items()},
        {
            frames_of(id)[:depth]: cells(shown(frames_of(id)[depth - 1])) + 2.0
            for id in graph.nodes
            for depth in range(1, len(frames_of(id)) + 1)
        },
    )
    arranged = arrange(drawing, CHARACTERS)
    canvas = _Canvas(int(arranged.width), int(arranged.height))
    for frame in arranged.frames:
        canvas.frame(frame)
    for line in arranged.lines:
        canvas.line(line.points, is_dashed=graph.edges[line.edge].conditional)
    for line in arranged.lines:
        canvas.head(line)
        if line.label is not None:
            canvas.write(line.label.x, line.label.y, labels[line.edge], line.label.width)
    for frame in arranged.frames:
        title = f" {shown(frame.path[-1])} "
        canvas.write(frame.rect.x + 2, frame.rect.y, [title], cells(title))
    for id, rect in arranged.boxes.items():
        canvas.box(rect, names[id])
    return canvas.text()


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self._rows = [[" "] * width for _ in range(height)]

    def text(self) -> str:
        return "".join(f"{''.join(row).rstrip()}\n" for row in self._rows)

    def put(self, x: float, y: float, character: str) -> None:
        self._rows[int(y)][int(x)] = character

    def at(self, x: float, y: float) -> str:
        return self._rows[int(y)][int(x)]

    def write(self, x: float, y: float, lines: Sequence[str], width: float) -> None:
        """Write lines, each in the middle of the room."""
        for down, line in enumerate(lines):
            column = int(x) + int(width - cells(line)) // 2
            for character in line:
                wide = cells(character)
                if wide:
                    self.put(column, y + down, character)
                    # The terminal moves on by two.
                    if wide == 2:
                        self.put(column + 1, y + down, "")
                else:
                    before = column - 1
                    self.put(before, y + down, self.at(before, y + down) + character)
                column += wide

    def box(self, rect: Rect, lines: Sequence[str]) -> None:
        inner = int(rect.width) - 2
        border = f"+{'-' * inner}+"
        self.write(rect.x, rect.y, [border], rect.width)
        for down, line in enumerate(lines, 1):
            self.write(rect.x, rect.y + down, [f"|{' ' * inner}|"], rect.width)
            self.write(rect.x + 1, rect.y + down, [line], inner)
        self.write(rect.x, rect.bottom - 1, [border], rect.width)

    def frame(self, frame: Frame) -> None:
        rect = frame.rect
        border = f"[{'=' * (int(rect.width) - 2)}]"
        self.write(rect.x, rect.y, [border], rect.width)
        for y in range(int(rect.y) + 1, int(rect.bottom) - 1):
            self.put(rect.x, y, "[")
            self.put(rect.right - 1, y, "]")
        self.write(rect.x, rect.bottom - 1, [border], rect.width)

    def line(self, points: Sequence[Point], *, is_dashed: bool) -> None:
        # A piece that goes down ends above the row where it leads to.
        across, along = ".-"[not is_dashed], ":|"[not is_dashed]
        for (x, y), (to_x, to_y) in pairwise(points):
            if x == to_x:
                for row in range(int(min(y, to_y)), int(max(y, to_y))):
                    if self.at(x, row) != "+":
                        self.put(x, row, along)
            else:
                for column in range(int(min(x, to_x)), int(max(x, to_x)) + 1):
                    if self.at(column, y) not in "|:+":
                        self.put(column, y, across)
        for before, (x, y), after in zip(points, points[1:], points[2:], strict=False):
            if (before[0] == x) != (after[0] == x):
                self.put(x, y, "+")

    def head(self, line: Line) -> None:
        (before_x, before_y), (x, y) = line.points[-2:]
        if y == before_y:
            self.put(x, y, "<" if x < before_x else ">")
        else:
            self.put(x, y - 1 if y > before_y else y, "v" if y > before_y else "^")
