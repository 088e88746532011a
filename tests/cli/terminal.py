"""A terminal: what a person sees of what a program writes to one."""

from __future__ import annotations

import re
import unicodedata

_ESCAPE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")
_MODES = {"7", "25", "2026"}
"""Wrapping, the cursor, and showing all at once."""


class Terminal:
    """Obeys the few codes that the command uses; any other control character is a failure."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.styles: set[str] = set()
        self.has_cursor = True
        self._is_wrapping = True
        self._lines: list[list[str]] = [[]]
        self._row = 0
        self._column = 0
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """All lines, also those that are above the screen."""
        return ["".join(line).rstrip() for line in self._lines]

    @property
    def text(self) -> str:
        """All that can be read."""
        return "\n".join(self.lines)

    def write(self, text: str) -> None:
        """Show text; part of what is asked of a log of pexpect."""
        text = self._rest + text
        # An escape that has not come wholly yet.
        end = text.rfind("\x1b")
        if end >= 0 and not _ESCAPE.match(text, end) and len(text) - end < 12:
            text, self._rest = text[:end], text[end:]
        else:
            self._rest = ""
        place = 0
        while place < len(text):
            escape = _ESCAPE.match(text, place)
            if escape:
                self._obey(*escape.groups())
                place = escape.end()
            else:
                self._put(text[place])
                place += 1

    def flush(self) -> None:
        """Do nothing; part of what is asked of a log of pexpect."""

    def _obey(self, private: str, number: str, letter: str) -> None:
        line = self._lines[self._row]
        if letter == "m":
            self.styles.add(number)
        elif private and number in _MODES and letter in "hl":
            if number == "25":
                self.has_cursor = letter == "h"
            elif number == "7":
                self._is_wrapping = letter == "h"
        elif letter == "A":
            top = max(len(self._lines) - self.height, 0)
            self._row = max(self._row - int(number or 1), top)
        elif letter == "K":
            del line[self._column :]
        elif letter == "J":
            del line[self._column :]
            del self._lines[self._row + 1 :]
        else:
            raise AssertionError(f"the terminal is told {private}{number}{letter}")

    def _put(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._down()
        elif char == "\x08":
            # Who types is shown how a character is taken back.
            self._column = max(self._column - 1, 0)
        else:
            kind = unicodedata.category(char)
            assert kind != "Cc" or char == "\t", f"the terminal is given {char!r}"
            assert unicodedata.bidirectional(char) not in {"RLO", "LRO", "RLE", "LRE"}, repr(char)
            self._show(char, 2 if unicodedata.east_asian_width(char) in "WF" else 1)

    def _show(self, char: str, cells: int) -> None:
        if self._column + cells > self.width:
            if self._is_wrapping:
                self._column = 0
                self._down()
            else:
                self._column = self.width - cells
        line = self._lines[self._row]
        line += [" "] * (self._column - len(line))
        line[self._column : self._column + cells] = [char, *[""] * (cells - 1)]
        self._column += cells

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])
