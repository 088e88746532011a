"""What the models of one task say, while it runs: kept whole, and shown from its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from millstream.cli.live.paper import wrap
from millstream.cli.speech import Floor, Speech

_ROWS: Final = 100
"""No terminal shows more of one task."""


class Transcript:
    """Lines of text that grow at the end; who speaks stands above it, if it is not the task.

    `hear` takes messages of any number of speakers and lets one after the other finish. What has
    been looked at once is not looked at again, as long as the width stays.
    """

    def __init__(self, name: str, clean: Callable[[str], str]) -> None:
        self.name = name
        self._clean = clean
        self._lines: list[tuple[str, str]] = []
        self._open = ""
        """The line that has not ended, clean."""
        self._parts: list[str] = []
        """What has been added to it since, as it came."""
        self._speaker = name
        self._floor = Floor(self)
        self._width = 0
        self._rows: deque[tuple[str, str]] = deque(maxlen=_ROWS)
        self._taken = 0
        """So many lines are in the rows."""
        self._begun = 0
        """And so many characters of the next one."""

    @property
    def has_text(self) -> bool:
        """Whether anything was said."""
        return bool(self._lines or self._open or self._parts)

    def hear(self, namespace: tuple[str, ...], message: Any, metadata: Any) -> None:
        """Take one event of the mode `messages`."""
        self._floor.receive(namespace, message, metadata)

    def begin(self, speech: Speech) -> None:
        """Say who speaks; part of what a `Floor` asks for."""
        if speech.subject != self._speaker:
            self._speaker = speech.subject
            self._lines.append((self._clean(speech.subject), "dim"))

    def say(self, text: str) -> None:
        """Add text; part of what a `Floor` asks for."""
        if "\n" not in text:
            self._parts.append(text)
            return
        first, *others = text.split("\n")
        self._parts.append(first)
        for other in others:
            self.end()
            self._parts.append(other)

    def end(self) -> None:
        """End a line; part of what a `Floor` asks for."""
        self._settle()
        self._lines.append((self._open, ""))
        self._open = ""

    def whole(self) -> list[tuple[str, str]]:
        """Return all lines, each with its style, of messages that have not ended too."""
        self._floor.clear()
        return self._lines

    def tail(self, width: int, height: int) -> list[tuple[str, str]]:
        """Return the last lines as they stand in so many cells."""
        if width != self._width:
            self._width, self._taken, self._begun = width, 0, 0
            self._rows.clear()
        for text, style in self._lines[self._taken :]:
            self._rows.extend((row, style) for row in wrap(text[self._begun :], width))
            self._begun = 0
        self._taken = len(self._lines)
        self._settle()
        if not self._open:
            return [*self._rows][-height:]
        rest = self._open[self._begun :]
        *rows, last = wrap(rest, width)
        # Where they are broken does not depend on what follows.
        self._rows.extend((row, "") for row in rows)
        self._begun += len(rest) - len(last)
        return [*self._rows, (last, "")][-height:]

    def _settle(self) -> None:
        if self._parts:
            self._open += self._clean("".join(self._parts)).replace("\t", "    ")
            self._parts.clear()
