"""Show measurements as tables on a terminal."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import Samples, Verdict, judge
from benchmarks.record import Measured
from benchmarks.rows import FLOOR, LANGGRAPH, MILLSTREAM, Row
from benchmarks.wording import BASIS, amounts, quotient

# Enough for the widest table when nobody looks at a terminal, as in a log file.
LOG_WIDTH: Final = 210

PREAMBLE: Final = (
    "Contenders take turns; shown is the best round and, for the two libraries, the median. Ratios "
    f"are millstream's: 1/30 is a thirtieth.\n{BASIS}"
)


def make_console() -> Console:
    """Return a console that does not wrap tables in a log file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=LOG_WIDTH)


def show_preamble(console: Console, versions: Mapping[str, str]) -> None:
    """Say what is compared."""
    compared = ", ".join(f"{name} {found}" for name, found in versions.items())
    console.print(f"{compared}; CPython {platform.python_version()}")
    console.print(PREAMBLE)


def show_group(console: Console, part: Measured) -> None:
    """Print the rows of one group."""
    table = Table(title=part.group.title, title_justify="left", title_style="bold")
    table.add_column("work", no_wrap=True)
    table.add_column("in", no_wrap=True)
    for name in (MILLSTREAM, "median", LANGGRAPH, "median", "ratio", FLOOR):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("best peer", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    for row in part.group.rows:
        table.add_row(*_cells(row, part))
    console.print()
    console.print(table)


def show_summary(console: Console, parts: Sequence[Measured]) -> int:
    """List the goals once more; return how many were missed."""
    missed = 0
    console.print("\n[bold]Goals[/bold]")
    for part in parts:
        for row, verdict in part.verdicts():
            missed += not verdict.is_met
            console.print(describe(verdict), f" {row.title}", end="\n", soft_wrap=True)
    return missed


def describe(verdict: Verdict) -> Text:
    """Return one goal's outcome."""
    reached, allowed = amounts(verdict)
    bound = f"{reached} of {allowed}"
    if verdict.goal.base is not None:
        bound += " added"
    if verdict.goal.over is not None and verdict.goal.over[1] not in (MILLSTREAM, LANGGRAPH):
        bound += f" of {verdict.goal.over[1]}"
    label, style = ("PASS", "green") if verdict.is_met else ("FAIL", "bold red")
    return Text.assemble((label, style), f" {bound}")


def _cells(row: Row, part: Measured) -> list[str | Text]:
    own, other, by_hand = (part.of(row, name) for name in (MILLSTREAM, LANGGRAPH, FLOOR))
    if own is None:
        return [row.title, row.missing, *[""] * 8]
    peer = part.best_peer(row)
    shown = ""
    if peer is not None:
        best = part.results[row.title, peer].best
        shown = f"{best:.2f} {peer}, {quotient(own.best, best)}"
    return [
        row.title,
        f"{row.measure}/{row.unit}" if row.unit else row.measure,
        *_pair(own),
        *_pair(other),
        quotient(own.best, other.best) if other is not None else "",
        f"{by_hand.best:.2f}" if by_hand is not None else "",
        shown,
        Text("\n").join(describe(verdict) for verdict in judge(row, part.results)),
    ]


def _pair(samples: Samples | None) -> tuple[str, str]:
    if samples is None:
        return "", ""
    return f"{samples.best:.2f}", f"{samples.median:.2f}"
