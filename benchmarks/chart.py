"""results.svg: what the chart shows. `draw` draws it, where there is matplotlib."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from benchmarks.child import ROOT
from benchmarks.foreign import PYTHON
from benchmarks.record import Measured, Record
from benchmarks.rows import FLOOR, LANGGRAPH, MILLSTREAM, Goal, Row

PEER: Final = "best of the other engines"
SERIES: Final = (MILLSTREAM, LANGGRAPH, PEER, FLOOR)


def picture(record: Record) -> dict[str, Any]:
    """Return the chart as lists of numbers: the minima of rows in microseconds that have a goal.

    Rows that are only compared with other rows are left out: they are about a slope.
    """
    bars = [
        _bars(row, part)
        for part in record.parts
        for row in part.group.rows
        if row.measure == "µs" and not row.missing and any(map(_is_about_others, row.goals))
    ]
    facts = record.facts
    return {
        "title": f"Time per unit of work, {facts['python']}, {facts['date']}",
        "series": list(SERIES),
        "bars": bars,
    }


def draw(record: Record, path: Path) -> bool:
    """Write the chart; return whether there was something to draw it with."""
    if not PYTHON.exists():
        return False
    command = [str(PYTHON), "-m", "benchmarks.draw", str(path)]
    subprocess.run(command, cwd=ROOT, input=json.dumps(picture(record)), text=True, check=True)
    return True


def _is_about_others(goal: Goal) -> bool:
    return goal.over is None or (goal.over[1] != MILLSTREAM and goal.base is None)


def _bars(row: Row, part: Measured) -> dict[str, Any]:
    names = {name: name for name in (MILLSTREAM, LANGGRAPH, FLOOR)}
    if (peer := part.best_peer(row)) is not None:
        names[PEER] = peer
    found = {series: part.of(row, name) for series, name in names.items()}
    limits = [goal.limit for goal in row.goals if goal.over is None and goal.base is None]
    return {
        "label": f"{row.title} (per {row.unit})",
        "values": {series: samples.best for series, samples in found.items() if samples},
        "peer": peer,
        "goal": limits[0] if limits else None,
    }
