"""How large things are in a picture, and among characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from millstream.pictures.routing import Gap, Span, curved, tracked


@dataclass(frozen=True, slots=True)
class Measures:
    """The distances of one kind of picture."""

    between: float
    """Boxes of a row."""
    beside: float
    """A box, or a line, and a line that passes."""
    inside: float
    """From a frame's left and right border to what is in it."""
    above: float
    """From its upper border."""
    below: float
    """From its lower border."""
    port: float
    """Two lines at one side of a box, if there is room."""
    corner: float
    """From a corner of a box to the first line."""
    loop: float
    """How far an edge from a node to itself reaches to the side."""
    gap: Callable[[Sequence[Span], bool], Gap]
    """How lines cross the gap between two rows, or between a row and the border of a frame."""
    is_whole: bool
    """Whether positions are whole numbers."""

    def on_grid(self, x: float) -> float:
        """Return the place next to `x` where something may be."""
        # Not `round`, which rounds halves to even numbers: neighbours have to move alike.
        return float(int(x + 0.5 + 1e6) - 1e6) if self.is_whole else round(x, 1)


PIXELS: Final = Measures(
    between=28,
    beside=18,
    inside=18,
    above=30,
    below=18,
    port=16,
    corner=12,
    loop=26,
    gap=lambda spans, is_border: curved(spans, 16 if is_border else 40, 150),
    is_whole=False,
)
CHARACTERS: Final = Measures(
    between=3,
    beside=2,
    inside=2,
    above=1,
    below=1,
    port=2,
    corner=1,
    loop=4,
    gap=lambda spans, is_border: tracked(spans),
    is_whole=True,
)
