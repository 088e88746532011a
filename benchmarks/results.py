"""RESULTS.md: one run of the benchmarks, as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.harness import judge
from benchmarks.notes import NOTES
from benchmarks.record import Measured, Record
from benchmarks.rows import FLOOR, LANGGRAPH, MILLSTREAM, TASKS, Row
from benchmarks.wording import BASIS, amounts, claim, number, quotient

HEADER: Final = """\
# Results

`make bench` writes this page and the chart from the numbers of one run. Contenders take turns, so
that they share what else goes on; the *minimum* is the round that was disturbed least, and what
goals are judged by. In the columns of others, the number is their minimum, and the ratio is what
millstream's minimum is of it: 1/30 is a thirtieth, 2.00x is twice. CONTRIBUTING.md says what the
programs and the floors are.
"""
LATER: Final = "## Measured later"
"""What the headings of runs begin with that have measured some areas anew."""
COLUMNS: Final = (
    "work", "per", "median", "minimum", "langgraph", "best peer", "floor", "goal", "reached",
)  # fmt: skip


def page(record: Record) -> str:
    """Return the whole page."""
    aimed, rest = _rows(record)
    found = [verdict for part in record.parts for _, verdict in part.verdicts()]
    met = sum(verdict.is_met for verdict in found)
    return "\n".join(
        [
            HEADER,
            *_facts(record),
            "",
            "![Time per unit of work](results.svg)",
            "",
            f"## Goals: {met} of {len(found)} reached",
            "",
            *_table(COLUMNS, (_cells(row, part) for row, part in aimed)),
            "",
            "## Not reached",
            "",
            *(_missed(aimed) or ["Nothing."]),
            "",
            "## Measured without a goal",
            "",
            *_table(COLUMNS[:-2], (_cells(row, part)[:-2] for row, part in rest)),
            "",
        ]
    )


def with_later(page: str, areas: Sequence[str], record: Record) -> str:
    """Return a page with a run of some areas at its end, in the place of an older one of these."""
    heading = f"{LATER}: {', '.join(areas)}"
    sections = page.split(f"\n{LATER}")
    kept = [part for part in sections[1:] if not f"{LATER}{part}".startswith(f"{heading}\n")]
    aimed, rest = _rows(record)
    new = [
        heading,
        "",
        "A run of its own, which counts where the tables above have the same work.",
        "",
        *_facts(record),
        "",
        *(_table(COLUMNS, (_cells(row, part) for row, part in (*aimed, *rest)))),
        "",
        *_missed(aimed),
    ]
    whole = [sections[0], *(f"{LATER}{part}" for part in kept), "\n".join(new)]
    return "\n\n".join(part.strip("\n") for part in whole) + "\n"


def _rows(record: Record) -> tuple[list[tuple[Row, Measured]], list[tuple[Row, Measured]]]:
    """Return the rows that have goals, and the others."""
    rows = [(row, part) for part in record.parts for row in part.group.rows]
    return [each for each in rows if each[0].goals], [each for each in rows if not each[0].goals]


def _facts(record: Record) -> list[str]:
    facts = record.facts
    # Those of older runs do not say.
    niceness = facts.get("niceness", 0)
    return [
        f"- {facts['date']}" + (f", commit {facts['commit']}" if facts["commit"] else ""),
        f"- {facts['machine']}; load before: {facts['load']}, after: {facts['load after']}"
        + (f"; at niceness {niceness}" if niceness else ""),
        f"- {facts['python']}; "
        + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        f"- {BASIS}",
    ]


def _table(columns: Iterable[str], rows: Iterable[list[str]]) -> list[str]:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _cells(row: Row, part: Measured) -> list[str]:
    own = part.of(row, MILLSTREAM)
    verdicts = judge(row, part.results)
    outcomes = [
        f"{'yes' if verdict.is_met else '**no**'}: {amounts(verdict)[0]}" for verdict in verdicts
    ]
    peer = part.best_peer(row)
    return [
        row.title,
        row.unit,
        f"{number(own.median)} {row.measure}" if own is not None else row.missing,
        f"{number(own.best)} {row.measure}" if own is not None else "",
        _other(row, part, LANGGRAPH),
        _other(row, part, peer) + f" {peer}" if peer is not None else "",
        "<br>".join(filter(None, (_other(row, part, FLOOR), _other(row, part, TASKS)))),
        "<br>".join(claim(row, goal) for goal in row.goals),
        "<br>".join(outcomes),
    ]


def _other(row: Row, part: Measured, name: str) -> str:
    samples = part.of(row, name)
    if samples is None:
        return ""
    own = part.results[row.title, MILLSTREAM].best
    return f"{number(samples.best)} ({quotient(own, samples.best)})"


def _missed(rows: Iterable[tuple[Row, Measured]]) -> list[str]:
    lines = []
    for row, part in rows:
        for verdict in judge(row, part.results):
            if verdict.is_met:
                continue
            line = f"- **{row.title}**: goal {claim(row, verdict.goal)}, "
            line += row.missing or f"reached {amounts(verdict)[0]}"
            lines.append(f"{line}. {NOTES.get(row.title, '')}".rstrip())
    return lines
