"""What the live view of `millstream run` costs: a run that is watched on a terminal, or only read.

The terminal is a pty, whose other end a process reads. In time of the processor, of all threads:
the view has one of its own, and what counts is what it takes from the nodes. By the clock too, in
which it also counts how long the nodes wait for it.
"""

from __future__ import annotations

import io
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from typing_extensions import TypedDict

from benchmarks.rows import FLOOR, MILLSTREAM, Contender, Group, Kind, Row, multiple
from benchmarks.tokens import Typist
from millstream.cli.live.paper import Paper
from millstream.cli.live.view import DEFAULT_MODES, LiveView
from millstream.cli.output import Output
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph

PROCESSOR: Final = "of the processor"
CLOCK: Final = "by the clock"
CLOCKS: Final[dict[str, Callable[[], float]]] = {
    PROCESSOR: time.process_time,
    CLOCK: time.perf_counter,
}
WORK: Final = 10_000
"""Additions for each event: some thousand events a second, more than models and tools have."""


class State(TypedDict):
    """The prompt."""

    prompt: str


class Thinker(Typist):
    """Says its tokens after some work for each."""

    additions: int = 0

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        for chunk in super()._stream(*args, **kwargs):
            sum(range(self.additions))
            yield chunk


def groups(events: int = 10_000) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    for clock in CLOCKS:
        for work, how in ((WORK, "after some work each"), (0, "as fast as they come")):
            goal = 1.05 if work else None
            rows += [
                _row(f"live view of {events} {what}, {how}, {clock}", graph, events, clock, goal)
                for what, graph in (
                    ("tokens", talking(events, work)),
                    ("lines", telling(events, work)),
                )
            ]
    return [Group("millstream run on a terminal; floor = the run, read by nobody", tuple(rows))]


def _row(title: str, graph: Any, events: int, clock: str, goal: float | None) -> Row:
    if os.name != "posix":
        return Row(title, "event", events, (), missing="terminals that a program can have")
    terminal, now = Terminal(), CLOCKS[clock]
    watch = Contender(
        MILLSTREAM,
        clocked(watching(graph, terminal), now),
        between=terminal.begin,
        after=terminal.end,
        kind=Kind.CLOCKED,
    )
    floor = Contender(FLOOR, clocked(reading(graph, events), now), kind=Kind.CLOCKED)
    # What takes no time has nothing that a view could be a twentieth of.
    goals = () if goal is None else (multiple(title, goal, FLOOR),)
    return Row(title, "event", events, (watch, floor), goals)


class Terminal:
    """A terminal of 100 columns and 40 lines, which shows everything as soon as it comes."""

    stream: io.TextIOWrapper | None = None
    _reader: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Have one, if there is none yet."""
        if self.stream is not None:
            return
        # Windows has none.
        import pty

        master, slave = pty.openpty()
        try:
            # In a process of its own, because what a terminal does is none of the run's work.
            self._reader = subprocess.Popen(
                ["cat"], stdin=master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        finally:
            os.close(master)
        self.stream = os.fdopen(slave, "w", encoding="utf-8")

    def end(self) -> None:
        """Close it; who reads the other end ends with it."""
        if self.stream is not None and self._reader is not None:
            self.stream.close()
            self._reader.wait()
            self.stream = self._reader = None


def clocked(call: Callable[[], None], now: Callable[[], float]) -> Callable[[int], float]:
    """Return what does the work so often, and returns the seconds that took by a clock."""

    def clock(times: int) -> float:
        started = now()
        for _ in range(times):
            call()
        return now() - started

    return clock


def talking(events: int, additions: int) -> Any:
    """Return a graph whose model says so many tokens."""
    model = Thinker(count=events, additions=additions)

    def say(state: State) -> None:
        model.invoke(state["prompt"])

    return StateGraph(State).add_node(say).add_edge(START, "say").compile()


def telling(events: int, additions: int) -> Any:
    """Return a graph whose node tells so many lines."""

    def tell(state: State) -> None:
        writer = get_stream_writer()
        for number in range(events):
            sum(range(additions))
            writer(f"line {number}")

    return StateGraph(State).add_node(tell).add_edge(START, "tell").compile()


def watching(graph: Any, terminal: Terminal) -> Callable[[], None]:
    """Return a call that shows a run on a terminal."""

    def watch() -> None:
        out: Any = Output(terminal.stream)
        console = Console(file=out, width=100, height=40, force_terminal=True)
        view = LiveView(out, Paper(console), None, has_subgraphs=False)
        with view.shown():
            for item in _items(graph, view.modes):
                view.show(*item)
        view.finish()

    return watch


def reading(graph: Any, events: int) -> Callable[[], None]:
    """Return a call that reads the same run."""

    def read() -> None:
        assert sum(1 for _ in _items(graph, DEFAULT_MODES)) >= events

    return read


def _items(graph: Any, modes: Any) -> Any:
    return graph.stream({"prompt": "go"}, stream_mode=[*modes], subgraphs=True)
