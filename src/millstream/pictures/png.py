"""A graph as PNG: its SVG, drawn by resvg, which is one wheel without anything else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from millstream.pictures.svg import FACES

INSTALL: Final = "pip install 'millstream[png]'"
MOST_PIXELS: Final = 40_000_000
_SIZE: Final = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
_PROBE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">'
    '<text x="4" y="16" font-size="16" font-family="{}">{}</text></svg>'
)


class PngMissingError(ImportError):
    """What draws PNG is not installed."""

    def __init__(self) -> None:
        super().__init__(
            f"a PNG needs the package resvg-py: {INSTALL}; SVG, HTML and Mermaid need nothing",
            name="resvg_py",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


class NoFontError(RuntimeError):
    """The machine has no usual typeface, so a picture would have no names."""

    def __init__(self) -> None:
        super().__init__(
            "no usual typeface was found on this machine, so a PNG would show no names; install "
            "one, say Debian's fonts-dejavu-core, or make an SVG"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()


def is_possible() -> bool:
    """Return whether PNG can be drawn: by what is installed, with a typeface of the machine."""
    try:
        return _has_fonts(_renderer().svg_to_bytes)
    except PngMissingError:
        return False


def png(svg: str, *, scale: float = 2.0, pixels: int = MOST_PIXELS) -> bytes:
    """Return a PNG of an SVG document that has a width and a height.

    Args:
        svg: The document.
        scale: How many pixels a unit of it becomes.
        pixels: How many there are in all at most; it is drawn smaller where there would be more.

    Raises:
        ValueError: The scale is not above zero.
        PngMissingError: What draws it is not installed.
        NoFontError: The machine has no usual typeface.
    """
    if not scale > 0:
        raise ValueError(f"scale must be above zero, not {scale}")
    draw = _renderer().svg_to_bytes
    if not _has_fonts(draw):
        raise NoFontError
    size = _SIZE.search(svg)
    assert size is not None
    most = math.sqrt(pixels / (float(size[1]) * float(size[2])))
    return bytes(draw(svg_string=svg, zoom=min(scale, most)))


def _renderer() -> Any:
    try:
        import resvg_py
    except ImportError as error:
        raise PngMissingError from error
    return resvg_py


@lru_cache(maxsize=1)
def _has_fonts(draw: Callable[..., bytes]) -> bool:
    # What it has no typeface for is left out, and nobody is told.
    return draw(svg_string=_PROBE.format(FACES, "M")) != draw(svg_string=_PROBE.format(FACES, ""))
