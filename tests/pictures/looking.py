"""Look for what lies on something else."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from langchain_core.runnables.graph import Graph

from millstream.pictures.arranged import Arranged, Rect
from millstream.pictures.measures import Measures
from millstream.pictures.nesting import Drawing, arrange, frames_of


def arranged(drawn: Graph, measures: Measures) -> Arranged:
    """Arrange a graph whose boxes and labels are of odd sizes."""
    unit = 1.0 if measures.is_whole else 10.0
    paths = {
        frames_of(name)[:depth]
        for name in drawn.nodes
        for depth in range(1, len(frames_of(name)) + 1)
    }
    drawing = Drawing(
        {name: ((4.0 + len(name)) * unit, 3 * unit) for name in drawn.nodes},
        [(edge.source, edge.target) for edge in drawn.edges],
        {number for number, edge in enumerate(drawn.edges) if edge.conditional},
        {
            number: ((1.0 + len(str(edge.data))) * unit, unit)
            for number, edge in enumerate(drawn.edges)
            if edge.data is not None
        },
        dict.fromkeys(paths, 5 * unit),
    )
    return arrange(drawing, measures)


def overlap(left: Rect, right: Rect) -> bool:
    return (
        left.x < right.right
        and right.x < left.right
        and left.y < right.bottom
        and right.y < left.bottom
    )


def check(drawn: Graph, measures: Measures) -> None:
    """Look for what lies on something else, and for lines that end elsewhere."""
    found = arranged(drawn, measures)
    frames = {frame.path: frame.rect for frame in found.frames}
    labels = [line.label for line in found.lines if line.label is not None]
    whole = Rect(0, 0, found.width, found.height)

    for left, right in combinations([*found.boxes.values(), *labels], 2):
        assert not overlap(left, right)
    for rect in [*found.boxes.values(), *frames.values(), *labels]:
        assert within(rect, whole)
    for path, frame in frames.items():
        for name, box in found.boxes.items():
            is_inside = frames_of(name)[: len(path)] == path
            assert within(box, frame) if is_inside else not overlap(box, frame)
        for other, rect in frames.items():
            if len(other) == len(path) and other != path:
                assert not overlap(rect, frame)
    assert [line.edge for line in found.lines] == list(range(len(drawn.edges)))
    for line, edge in zip(found.lines, drawn.edges, strict=True):
        assert is_at_border(line.points[0], found.boxes[edge.source])
        assert is_at_border(line.points[-1], found.boxes[edge.target])
        assert (line.label is None) == (edge.data is None)
        for start, end in pairwise(line.points):
            for name, box in found.boxes.items():
                assert not passes(start, end, box), (edge, name)


def within(inner: Rect, outer: Rect) -> bool:
    slack = 0.01
    return (
        inner.x >= outer.x - slack
        and inner.y >= outer.y - slack
        and inner.right <= outer.right + slack
        and inner.bottom <= outer.bottom + slack
    )


def is_at_border(point: tuple[float, float], box: Rect) -> bool:
    x, y = point
    at_side = x == pytest.approx(box.right) and box.y <= y <= box.bottom
    at_end = y in (pytest.approx(box.y), pytest.approx(box.bottom)) and box.x <= x <= box.right
    return at_side or at_end


def passes(start: tuple[float, float], end: tuple[float, float], box: Rect) -> bool:
    """Return whether the rectangle around a piece of a line reaches into a box."""
    left, right = sorted((start[0], end[0]))
    top, bottom = sorted((start[1], end[1]))
    slack = 0.01
    return (
        left < box.right - slack
        and right > box.x + slack
        and top < box.bottom - slack
        and bottom > box.y + slack
    )
