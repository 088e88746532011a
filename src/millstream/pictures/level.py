"""What is arranged at once: what is in one frame, or outside of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from millstream.pictures.arranged import Point, Rect
from millstream.pictures.ranking import Link, upward

Size = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Item:
    """A box, or a frame with what is in it."""

    width: float
    height: float
    ports: Mapping[int, float] | None = None
    """Where the lines of a frame cross its border, by their edge; None for a box."""


@dataclass(frozen=True, slots=True)
class Tie:
    """An edge between two items, or from one to itself."""

    edge: int
    source: int
    target: int
    label: Size | None = None
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """Where an edge of an item crosses the border of the frame around it."""

    edge: int
    item: int
    is_top: bool
    is_upward: bool
    is_dashed: bool


@dataclass(slots=True)
class Found:
    """Where everything is at one level."""

    width: float = 0
    height: float = 0
    rects: list[Rect] = field(default_factory=list)
    """Of the items."""
    ways: dict[int, tuple[Point, ...]] = field(default_factory=dict)
    """By edge, in the direction of the edge."""
    labels: dict[int, Rect] = field(default_factory=dict)
    """By edge."""
    ports: dict[int, float] = field(default_factory=dict)
    """The x of each port, by its edge."""


class Level:
    """Items and what leads from one to another, downwards: edges that close a cycle turned round.

    Each port is a vertex too, after those of the items.
    """

    def __init__(self, count: int, ties: Sequence[Tie], ports: Sequence[Port]) -> None:
        self.count = count
        self.loops = [tie for tie in ties if tie.source == tie.target]
        self.ties = [tie for tie in ties if tie.source != tie.target]
        self.ports = list(enumerate(ports, count))
        self.links: list[Link] = []
        closing = upward(count, [(tie.source, tie.target) for tie in self.ties])
        for tie, is_upward in zip(self.ties, closing, strict=True):
            upper, lower = (tie.target, tie.source) if is_upward else (tie.source, tie.target)
            self.links.append(Link(tie.edge, upper, lower, is_upward, tie.is_dashed, tie.label))
        for vertex, port in self.ports:
            upper, lower = (vertex, port.item) if port.is_top else (port.item, vertex)
            self.links.append(Link(port.edge, upper, lower, port.is_upward, port.is_dashed))

    def crossings(self) -> Iterator[tuple[int, Port, Port]]:
        """Yield, for each edge between two items, where it would cross the borders of frames."""
        for tie, link in zip(self.ties, self.links, strict=False):
            yield (
                tie.edge,
                Port(tie.edge, tie.source, link.is_upward, link.is_upward, tie.is_dashed),
                Port(tie.edge, tie.target, not link.is_upward, link.is_upward, tie.is_dashed),
            )
