"""What a terminal can show: how wide text is there, which characters it has, whether in colour."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from rich.cells import cell_len

from millstream._base.texts import visible

if TYPE_CHECKING:
    from rich.console import Console

Line: TypeAlias = "tuple[tuple[str, str], ...]"
"""Texts of one line, each with its style."""

LEAST_WIDTH: Final = 20
_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class Glyphs(NamedTuple):
    """Characters for what is no text."""

    mark: str
    failed: str
    times: str
    cut: str
    beneath: str
    """Between a graph and a node in it."""
    turns: str
    """One after the other says that time goes on."""
    box: str
    """Top left, top right, bottom left, bottom right, horizontal, vertical."""


UNICODE: Final = Glyphs("●", "✗", "\N{MULTIPLICATION SIGN}", "…", "→", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "╭╮╰╯─│")
ASCII: Final = Glyphs("*", "!", "x", "...", "->", "|/-\\", "++++-|")


class Paper:
    """The terminal behind a stream, as one writes for it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.encoding = console.encoding
        self.glyphs = ASCII if console.options.ascii_only else UNICODE
        # Without colours nothing else is switched either: bold is a code, too.
        self._is_styled = console.color_system is not None and not os.environ.get("NO_COLOR")

    @property
    def width(self) -> int:
        """How many cells there are in a line now."""
        return max(self._console.size.width, LEAST_WIDTH)

    @property
    def height(self) -> int:
        """How many lines there are now."""
        return self._console.size.height

    def clean(self, text: str) -> str:
        """Return text of anybody as it may be shown: nothing that a terminal obeys, or lacks."""
        text = visible(text)
        if text.isascii():
            return text
        # Written out before it is measured, because it is longer then.
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def flat(self, text: str) -> str:
        """Return clean text that stays on its line."""
        return self.clean(" ".join(text.split()))

    def styled(self, text: str, style: str) -> str:
        """Return clean text with the codes of a style around it."""
        return f"\x1b[{_code(style)}m{text}\x1b[0m" if self._is_styled and style else text

    def written(self, line: Line) -> str:
        """Return a line of any text as it is written, however long it is."""
        return "".join(self.styled(self.clean(text), style) for text, style in line)

    def fitted(self, line: Iterable[tuple[str, str]], room: int) -> str:
        """Return a line of clean text cut to so many cells."""
        parts: list[str] = []
        for text, style in line:
            if room <= 0:
                break
            text = cut(text, room, self.glyphs.cut)
            room -= cell_len(text)
            parts.append(self.styled(text, style))
        return "".join(parts)


def width_of(line: Iterable[tuple[str, str]]) -> int:
    """Return how many cells a line takes."""
    return sum(cell_len(text) for text, _ in line)


def cut(text: str, room: int, mark: str) -> str:
    """Return text of at most so many cells, with a mark where something is missing."""
    if cell_len(text) <= room:
        return text
    return text[: _fitting(text, max(room - cell_len(mark), 0))] + mark[:room]


def wrap(text: str, room: int) -> Iterator[str]:
    """Yield the lines that a line of text takes, broken between words where that is possible."""
    # No character takes more than two cells, and hardly any takes none: the rest of a long text is
    # not measured again for each line.
    while len(text) > 2 * room or cell_len(text) > room:
        end = _fitting(text, room) or 1
        # A space that ends the line is as good as one in it.
        space = text.rfind(" ", 1, end + 1)
        if space > 0:
            yield text[:space]
            text = text[space + 1 :]
        else:
            yield text[:end]
            text = text[end:]
            if not text:
                return
    yield text


def _fitting(text: str, room: int) -> int:
    """Return how many characters have room."""
    if text.isascii():
        return room
    for index, char in enumerate(text):
        room -= cell_len(char)
        if room < 0:
            return index
    return len(text)


@functools.cache
def _code(style: str) -> str:
    return ";".join(_CODES[word] for word in style.split())
