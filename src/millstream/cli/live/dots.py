"""`DottedView`: for terminals that cannot move the cursor, such as `TERM=dumb`.

Events are printed one after the other, and where nothing is printed for a while, dots are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

from millstream.cli.interrupting import interruptible
from millstream.cli.live.activity import Activity, Path
from millstream.cli.live.events import take_task, take_words, words_of
from millstream.cli.live.paper import Paper
from millstream.cli.live.printed import taken
from millstream.cli.live.retries import heard
from millstream.cli.live.table import table
from millstream.cli.output import Output
from millstream.cli.render import BlockRenderer
from millstream.modes.names import CUSTOM, MESSAGES, TASKS, UPDATES

PATIENCE: Final = 1.5
"""Seconds without a sign after which a dot is printed, at the latest half a second later."""


class DottedOutput(Output):
    """Lets texts of events and dots stand on lines of their own."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._lock = threading.RLock()
        self._opening = ""
        """What stands before the dots; empty if there are none."""
        self._written = time.monotonic()

    def write(self, text: str) -> int:
        """Write text of an event."""
        with self._lock:
            if self._opening:
                super().write("\n")
            self._opening = ""
            self._written = time.monotonic()
            return super().write(text)

    def dot(self, opening: str, now: float) -> None:
        """Write a dot if it is time, the first one of several behind what they are about."""
        with self._lock:
            if now - self._written < PATIENCE:
                return
            if opening != self._opening:
                super().write(f"\n{opening}" if self._opening else opening)
            super().write(" .")
            super().flush()
            self._opening, self._written = opening, now


class DottedView:
    """A `Renderer` that prints events, and dots while there are none."""

    def __init__(
        self, out: DottedOutput, paper: Paper, modes: Sequence[str] | None, *, has_subgraphs: bool
    ) -> None:
        self._out = out
        self._paper = paper
        self._asked = frozenset(modes or (UPDATES, CUSTOM, MESSAGES))
        self.modes = [*dict.fromkeys([*(modes or (UPDATES, CUSTOM, MESSAGES)), TASKS])]
        self.has_subgraphs = True
        self._shows_nested = has_subgraphs
        self._events = BlockRenderer(out)
        self._printing = threading.RLock()
        """Guards the events: nodes that print in threads end the line of a message."""
        self._activity = Activity()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._loading = ""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print dots while nothing else is printed."""
        self._over.clear()
        thread = threading.Thread(target=self._dot_on, name="millstream-dots")
        with ExitStack() as stack:
            stack.enter_context(interruptible(self._say_stopping))
            thread.start()
            stack.callback(self._end, thread)
            stack.enter_context(taken(self._print))
            stack.enter_context(heard(self._take_retry))
            yield

    def load(self, what: str) -> None:
        """Take what the dots are about before the run begins."""
        self._loading = what

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""
        with self._lock:
            if mode == TASKS:
                take_task(self._activity, namespace, payload, time.monotonic())
            elif mode == MESSAGES:
                message, metadata = payload
                take_words(words_of(self._activity, namespace, metadata), message)
        if mode in self._asked and (self._shows_nested or not namespace):
            with self._printing:
                self._events.show(namespace, mode, payload)

    def finish(self) -> None:
        """Print how often each node ran, how long, and with how many tokens."""
        self._events.stop()
        for line in table(self._activity.rows(), self._paper):
            self._out.write(self._paper.fitted(line, self._paper.width) + "\n")
        self._events.finish()

    def stop(self) -> None:
        """Have what is printed next begin a line."""
        self._events.stop()

    def _print(self, line: str) -> None:
        with self._printing:
            self._events.stop()
            self._out.write(f"{self._paper.clean(line)}\n")

    def _take_retry(self, path: Path, attempt: Any, trouble: str) -> None:
        with self._lock:
            self._activity.retry(path, attempt, trouble)

    def _dot_on(self) -> None:
        while not self._over.wait(0.25):
            self._out.dot(self._opening(), time.monotonic())

    def _opening(self) -> str:
        with self._lock:
            if self._loading:
                return self._paper.flat(self._loading)
            running = self._names()
        return f"running {running}" if running else "waiting"

    def _names(self) -> str:
        return ", ".join(self._paper.flat(each.path[-1]) for each in self._activity.running())

    def _end(self, thread: threading.Thread) -> None:
        self._over.set()
        thread.join()
        self._activity.stop(time.monotonic())

    def _say_stopping(self) -> None:
        waiting = self._names() or "what still runs"
        # What was interrupted may be writing.
        with suppress(RuntimeError):
            self._out.write(f"\nstopping, waits for {waiting}; Ctrl-C again leaves at once\n")
