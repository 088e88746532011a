"""Write above and at the bottom of a terminal: lines that stay, and a picture that is replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from millstream.cli.live.paper import Line, Paper, width_of
from millstream.cli.output import Output

# Together in one write, and shown at once where the terminal can do so. What is wider than the
# terminal believes stays on its line.
_BEGIN: Final = "\x1b[?2026h\x1b[?25l"
_END: Final = "\x1b[?2026l"
_UNWRAPPED: Final = "\x1b[?7l"
_WRAPPED: Final = "\x1b[?7h"
REST_OF_LINE: Final = "\x1b[K"
_REST_OF_SCREEN: Final = "\x1b[J"
SHOW_CURSOR: Final = "\x1b[?7h\x1b[?25h"


class Screen:
    """The last lines of a terminal."""

    def __init__(self, out: Output, paper: Paper) -> None:
        self._out = out
        self._paper = paper
        self._shown: list[str] = []
        self._widths: list[int] = []

    def show(self, above: str, picture: Sequence[Line]) -> None:
        """Write text that stays, whole lines, and replace the picture that follows it."""
        width = self._paper.width
        lines = [self._paper.fitted(line, width) for line in picture]
        if not above and lines == self._shown:
            return
        parts = [_BEGIN, self._home(width)]
        if above:
            parts += [_REST_OF_SCREEN, above]
        parts += [
            _UNWRAPPED,
            "\n".join(line + REST_OF_LINE for line in lines),
            _REST_OF_SCREEN,
            _WRAPPED,
            _END,
        ]
        self._shown, self._widths = lines, [width_of(line) for line in picture]
        self._write("".join(parts))

    def leave(self, above: str) -> None:
        """Write text that stays in the place of the picture, and give the cursor back."""
        self._write(
            "".join([self._home(self._paper.width), _REST_OF_SCREEN, above, _WRAPPED, SHOW_CURSOR])
        )
        self._shown, self._widths = [], []

    def _home(self, width: int) -> str:
        """Return what moves to the first line of the picture."""
        if not self._shown:
            return ""
        # A terminal that has become narrower has broken the lines that were wider.
        rows = sum(max(1, -(-each // width)) for each in self._widths)
        return f"\r\x1b[{rows - 1}A" if rows > 1 else "\r"

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
