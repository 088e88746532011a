"""Panes side by side in a terminal, each written to by whoever has something to say.

Where there is no terminal, as in a pipe, each line is printed when it is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.segment import Segment
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURES_PER_SECOND = 15
MAX_HEIGHT = 34


class PipedConsole(Console):
    """A console that leaves it to the program what to do when nobody reads any more.

    Rich would end the interpreter, from within the task that prints.
    """

    def on_broken_pipe(self) -> None:
        """Let the error through; called while it is handled."""
        raise


class Pane:
    """Lines of text under a title; the last one may still grow."""

    def __init__(self, title: str, tell: Callable[[str, Text], None] | None = None) -> None:
        self.title = title
        self.status = ""
        self._tell = tell
        self._lines: list[Text] = []
        self._open: Text | None = None

    def say(self, words: str) -> None:
        """Add words to the last line."""
        if self._open is None:
            self._open = Text()
            self._lines.append(self._open)
        self._open.append(words)

    def end_line(self) -> None:
        """End the last line."""
        line, self._open = self._open, None
        if line is not None and self._tell is not None:
            self._tell(self.title, line)

    def note(self, line: str, style: str = "cyan") -> None:
        """Add a whole line."""
        self.end_line()
        self._open = Text(line, style)
        self._lines.append(self._open)
        self.end_line()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.max_height
        inside = options.update(height=None)
        shown = [
            row
            for line in self._lines[-height:]
            for row in console.render_lines(line, inside, pad=False)
        ]
        for row in shown[-height:]:
            yield from row
            yield Segment.line()


class Screen:
    """Panes: one on top, some side by side, one at the bottom."""

    def __init__(self, console: Console, top: str, columns: Iterable[str], bottom: str) -> None:
        self._console = console
        tell = None if console.is_terminal else self._print
        self._panes = {name: Pane(name, tell) for name in (top, *columns, bottom)}
        self._layout = Layout()
        middle = Layout(ratio=3)
        middle.split_row(*(Layout(name=name) for name in columns))
        self._layout.split_column(
            Layout(name=top, ratio=2), middle, Layout(name=bottom, ratio=1, minimum_size=6)
        )

    def pane(self, name: str) -> Pane:
        """Return a pane."""
        return self._panes[name]

    def _print(self, title: str, line: Text) -> None:
        self._console.print(Text.assemble(f"{title}: ", line), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for name, pane in self._panes.items():
            title = f"{name}, {pane.status}" if pane.status else name
            self._layout[name].update(Panel(pane, title=title, title_align="left"))
        height = min(console.height - 1, MAX_HEIGHT)
        yield from console.render(self._layout, options.update_height(height))

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Keep the panes on the terminal up to date."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self, console=self._console, auto_refresh=False) as live:
            painter = asyncio.create_task(self._paint(live))
            try:
                yield
            finally:
                painter.cancel()
                live.refresh()

    async def _paint(self, live: Live) -> None:
        while True:
            live.refresh()
            await asyncio.sleep(1 / PICTURES_PER_SECOND)
