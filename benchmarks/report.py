"""Show measurements as tables."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import Results, Samples, Verdict, judge
from benchmarks.rows import FLOOR, LANGGRAPH, MILLSTREAM, Group, Row

# Enough for the widest table when nobody looks at a terminal, as in a log file.
LOG_WIDTH: Final = 160

PREAMBLE: Final = (
    "Microseconds per unit; rounds are interleaved in one process; ratio = langgraph / millstream "
    "of the best rounds.\nAbsolute goals are for an otherwise idle 2-core machine: read them with "
    "the machine speed below. Ratios hold on a busy one too."
)


def make_console() -> Console:
    """Return a console that does not wrap tables in a log file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def show_preamble(console: Console, speed: float) -> None:
    """Say what is compared, and how fast the machine is."""
    peers = " vs ".join(f"{name} {version(name)}" for name in (MILLSTREAM, LANGGRAPH))
    console.print(f"[bold]{peers}[/bold], CPython {platform.python_version()}")
    console.print(PREAMBLE)
    show_speed(console, speed)


def show_speed(console: Console, speed: float) -> None:
    """Say how fast the machine is now."""
    console.print(
        f"Machine speed: the floor loop takes {speed:.2f}x what it takes on the reference machine."
    )


def show_group(console: Console, group: Group, results: Results, speed: float) -> None:
    """Print the rows of one group."""
    table = Table(title=group.title, title_justify="left", title_style="bold")
    table.add_column("work", no_wrap=True)
    table.add_column("per")
    for name in (MILLSTREAM, "median", LANGGRAPH, "median", "ratio", FLOOR):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for row in group.rows:
        table.add_row(*_cells(row, results, speed))
    console.print()
    console.print(table)


def show_summary(console: Console, verdicts: Mapping[str, Iterable[Verdict]], speed: float) -> int:
    """List the goals once more; return how many were missed."""
    missed = 0
    console.print("\n[bold]Goals[/bold]")
    for title, some in verdicts.items():
        for verdict in some:
            missed += not verdict.is_met
            console.print(describe(verdict, speed), f" {title}", end="\n", soft_wrap=True)
    show_speed(console, speed)
    return missed


def describe(verdict: Verdict, speed: float) -> Text:
    """Return one goal's outcome; a missed time is shown at reference speed too."""
    goal = verdict.goal
    if goal.beyond is not None:
        bound = f"{verdict.reached:+.1f} of {goal.limit:+g} MB"
    elif goal.over is None:
        bound = f"{verdict.reached:.1f} of {goal.limit:g} {goal.unit}"
        if not verdict.is_met and goal.unit == "µs":
            bound += f" ({verdict.reached / speed:.1f} at reference speed)"
    elif goal.over[1] == LANGGRAPH:
        bound = f"1/{1 / verdict.reached:.1f} of 1/{1 / goal.limit:g}"
    else:
        bound = f"{verdict.reached:.2f}x of {goal.limit:g}x"
    if goal.base is not None:
        bound += " added"
    label, style = ("PASS", "green") if verdict.is_met else ("FAIL", "bold red")
    return Text.assemble((label, style), f" {bound}")


def _cells(row: Row, results: Results, speed: float) -> list[str | Text]:
    own = results[row.title, MILLSTREAM]
    other = results.get((row.title, LANGGRAPH))
    by_hand = results.get((row.title, FLOOR))
    return [
        row.title,
        row.unit,
        *_pair(own),
        *_pair(other),
        f"{other.best / own.best:.1f}" if other is not None else "",
        f"{by_hand.best:.2f}" if by_hand is not None else "",
        Text("\n").join(describe(verdict, speed) for verdict in judge(row, results)),
    ]


def _pair(samples: Samples | None) -> tuple[str, str]:
    if samples is None:
        return "", ""
    return f"{samples.best:.2f}", f"{samples.median:.2f}"
