"""What `millstream run` prints where there is no terminal: for people, and for programs."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TextIO, cast

from rich.console import Console
from rich.text import Text

from millstream._base.texts import visible
from millstream.cli.blocks import Blocks
from millstream.cli.live.printed import guarded
from millstream.cli.output import Output, to_json
from millstream.cli.speech import Floor, Speech
from millstream.modes import names
from millstream.modes.encoders import encode_json


class Renderer(Protocol):
    """Where the events of a run go."""

    @property
    def modes(self) -> Sequence[str]:
        """What it wants to be shown."""

    @property
    def has_subgraphs(self) -> bool:
        """Whether it also wants what happens in nested graphs."""

    def shown(self) -> AbstractContextManager[None]:
        """Return a scope in which a graph is loaded, or run."""

    def load(self, what: str) -> None:
        """Say what the run waits for before it begins; empty once it begins."""

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""

    def finish(self) -> None:
        """Print what belongs after the last event of a run that succeeded."""

    def stop(self) -> None:
        """Make room for what is printed about a run that failed, or that waits."""


class JsonRenderer:
    """One JSON object a line, each written out at once."""

    def __init__(self, out: Output, modes: Sequence[str], *, has_subgraphs: bool) -> None:
        self._out = out
        self.modes = modes
        self.has_subgraphs = has_subgraphs

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep what nodes print from standing between the lines."""
        with guarded(), contextlib.redirect_stdout(sys.stderr):
            yield

    def load(self, what: str) -> None:
        """Print nothing: every line is an event."""

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""
        event = encode_json((tuple(namespace), mode, payload, None))
        self._out.write(to_json(event, self._out.encoding) + "\n")
        self._out.flush()

    def finish(self) -> None:
        """Print nothing: every line is an event."""

    def stop(self) -> None:
        """Print nothing: every line is an event."""


class BlockRenderer:
    """A block for each event; strings of `custom` stand as they come.

    A message is one event whose text grows token by token.
    """

    def __init__(
        self, out: Output, modes: Sequence[str] = (), *, has_subgraphs: bool = False
    ) -> None:
        self.modes = modes
        self.has_subgraphs = has_subgraphs
        self._console = Console(file=cast("TextIO", out), highlight=False, soft_wrap=True)
        self._blocks = Blocks("*" if self._console.options.ascii_only else "●")
        self._started = time.monotonic()
        self._events = 0
        self._floor = Floor(self)

    def shown(self) -> AbstractContextManager[None]:
        """Have what nodes print to a terminal shown without what it would obey."""
        return guarded()

    def load(self, what: str) -> None:
        """Print nothing: there is nobody to wait."""

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""
        self._events += 1
        if mode == names.MESSAGES:
            self._floor.receive(namespace, *payload)
            return
        self.stop()
        self._blocks.width = self._console.width
        for line in self._blocks.event(namespace, mode, payload):
            self._print(*line)

    def finish(self) -> None:
        """Say how many events there were and how long the run took."""
        self.stop()
        seconds = time.monotonic() - self._started
        plural = "" if self._events == 1 else "s"
        self._print((f"done: {self._events} event{plural} in {seconds:.2f} s", "dim"))

    def stop(self) -> None:
        """End the line that tokens were printed on."""
        self._floor.clear()

    def begin(self, speech: Speech) -> None:
        """Print who speaks; tokens follow on a line of their own."""
        self._print(*self._blocks.heading(speech.namespace, names.MESSAGES, speech.subject))

    def say(self, text: str) -> None:
        """Append a token to the line."""
        self._print((text, ""), end="")

    def end(self) -> None:
        """End the line of a message."""
        self._console.print()

    def _print(self, *parts: tuple[str, str], end: str = "\n") -> None:
        """Print texts with their styles; all of the view goes through here."""
        shown = ((visible(text), style) for text, style in parts)
        self._console.print(Text.assemble(*shown), end=end)
