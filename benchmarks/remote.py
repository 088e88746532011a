"""Nodes on a Ray cluster of this machine: what a call, an item and leaving a run cost there, and
how much quicker nodes that compute are on two workers.

Ray has an environment of its own, that of `make test-ray`. `benchmarks.cluster` measures more of
the same there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.child import ROOT, Child
from benchmarks.rows import FLOOR, MILLSTREAM, Contender, Goal, Group, Kind, Row, ceiling, fraction

PYTHON: Final = ROOT / "build/ray/bin/python"
HERE: Final = "one process"
"""The same graph without an executor."""
CALLS: Final = {MILLSTREAM: "call", FLOOR: "first"}
EVENTS: Final = {MILLSTREAM: "events", FLOOR: "batches"}
LEAVING: Final = {MILLSTREAM: "leave"}
COMPUTING: Final = {MILLSTREAM: "compute", HERE: "compute_here"}
"""Contender -> what its process is asked for."""


def groups(python: Path = PYTHON, items: int = 20_000, numbers: int = 4_000_000) -> list[Group]:
    """Return the groups of this area."""
    child = Child("Ray", [str(python), "-m", "benchmarks.engines.ray_cluster"])
    # Its installation may have failed.
    is_there = any(python.parents[1].glob("lib/*/site-packages/ray/__init__.py"))

    def row(
        title: str, unit: str, size: int, goal: Goal, works: dict[str, str], measure: str = "ms"
    ) -> Row:
        return Row(
            title,
            unit,
            size if unit == "event" else 1,
            tuple(_contender(child, name, works[name], size) for name in works if is_there),
            (goal,),
            measure,
            missing="" if is_there else "no Ray",
        )

    computing = "8 nodes that compute on a Ray cluster, 2 workers"
    rows = (
        row("one-node run on a Ray cluster, invoke, sync", "run", 1, ceiling(3, "ms"), CALLS),
        row("custom events of a Ray cluster, sync", "event", items, ceiling(20), EVENTS, "µs"),
        row("leaving a node on a Ray cluster, async", "run", 1, ceiling(20, "ms"), LEAVING),
        row(computing, "run", numbers, fraction(computing, 1.8, HERE), COMPUTING),
    )
    return [Group("nodes on a Ray cluster", rows)]


def _contender(child: Child, name: str, work: str, size: int) -> Contender:
    def sample(count: int) -> float:
        return child.sample(work, size, count)

    return Contender(name, sample, after=child.close, kind=Kind.CLOCKED)
