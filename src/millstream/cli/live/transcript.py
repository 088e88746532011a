"""What the models of one task say, while it runs: kept whole, and shown from its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from millstream.cli.live.paper import wrap
from millstream.cli.speech import Floor, Speech

_ROWS: Final = 100
"""No terminal shows more of one task."""
_OPEN: Final = 10_000
"""Of a line that has not ended so many characters are looked at for each picture."""


class Transcript:
    """Lines of text that grow at the end; who speaks stands above it, if it is not the task.

    `hear` takes messages of any number of speakers and lets one after the other finish.
    """

    def __init__(self, name: str, clean: Callable[[str], str]) -> None:
        self.name = name
        self._clean = clean
        self._lines: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._speaker = name
        self._floor = Floor(self)
        self._width = 0
        self._wrapped: deque[tuple[str, str]] = deque(maxlen=_ROWS)
        self._taken = 0

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
            self._open.append(text)
            return
        first, *others = text.split("\n")
        self._open.append(first)
        for other in others:
            self.end()
            self._open.append(other)

    def end(self) -> None:
        """End a line; part of what a `Floor` asks for."""
        self._lines.append((self._clean("".join(self._open)), ""))
        self._open.clear()

    def whole(self) -> list[tuple[str, str]]:
        """Return all lines, each with its style, of messages that have not ended too."""
        self._floor.clear()
        return self._lines

    def tail(self, width: int, height: int) -> list[tuple[str, str]]:
        """Return the last lines as they stand in so many cells."""
        if width != self._width:
            self._width, self._taken = width, 0
            self._wrapped.clear()
        for text, style in self._lines[max(self._taken, len(self._lines) - _ROWS) :]:
            self._wrapped.extend(_wrapped(text, style, width))
        self._taken = len(self._lines)
        rows = [*self._wrapped]
        if self._open:
            # Joined once, whatever number of tokens it came in.
            text = "".join(self._open)
            self._open = [text]
            rows += _wrapped(self._clean(text[-_OPEN:]), "", width)
        return rows[-height:]


def _wrapped(text: str, style: str, width: int) -> Iterator[tuple[str, str]]:
    return ((line, style) for line in wrap(text.expandtabs(4), width))
