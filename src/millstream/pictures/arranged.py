"""What an arranged graph consists of: boxes, frames around nested graphs, lines.

The unit is a pixel in pictures and a character among characters. y grows downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle, by its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x of its right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The y of its lower side."""
        return self.y + self.height

    def moved(self, dx: float, dy: float) -> Rect:
        """Return the same rectangle elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, slots=True)
class Frame:
    """A nested graph that is shown open."""

    path: tuple[str, ...]
    """Its name, after those of the frames around it."""
    rect: Rect


@dataclass(frozen=True, slots=True)
class Line:
    """An edge: where it goes, from the border of its source to that of its target."""

    edge: int
    """Its place among the edges of the graph."""
    points: tuple[Point, ...]
    label: Rect | None = None
    """The room of its label."""


@dataclass(slots=True)
class Arranged:
    """Where everything is."""

    width: float = 0
    height: float = 0
    boxes: dict[str, Rect] = field(default_factory=dict)
    """By the ids of nodes."""
    frames: list[Frame] = field(default_factory=list)
    """Those around others come first."""
    lines: list[Line] = field(default_factory=list)
    """In the order of the edges."""
