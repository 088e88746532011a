"""Everything one call of the benchmarks has measured, as a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Results, Samples, Verdict, judge
from benchmarks.rows import FLOOR, LANGGRAPH, MILLSTREAM, TASKS, Contender, Goal, Group, Row


@dataclass(frozen=True, slots=True)
class Measured:
    """A group and its results."""

    group: Group
    results: Results

    def verdicts(self) -> list[tuple[Row, Verdict]]:
        """Return every goal's outcome."""
        return [(row, found) for row in self.group.rows for found in judge(row, self.results)]

    def of(self, row: Row, name: str) -> Samples | None:
        """Return what a contender reached in the row."""
        return self.results.get((row.title, name))

    def best_peer(self, row: Row) -> str | None:
        """Return the best of those who are neither of the two libraries nor by hand."""
        peers = [
            (samples.best, name)
            for (title, name), samples in self.results.items()
            if title == row.title and name not in (MILLSTREAM, LANGGRAPH, FLOOR, TASKS)
        ]
        return min(peers)[1] if peers else None


@dataclass(frozen=True, slots=True)
class Record:
    """Where and when it was measured, and all of it."""

    facts: dict[str, Any]
    parts: Sequence[Measured]


def save(record: Record, path: Path) -> None:
    """Write a record as JSON."""
    content = {"facts": record.facts, "groups": [_group_as_json(part) for part in record.parts]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> Record:
    """Read a record; its rows have lost what only measuring needs."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Record(content["facts"], [_group_from_json(group) for group in content["groups"]])


def _group_as_json(part: Measured) -> dict[str, Any]:
    rows = []
    for row in part.group.rows:
        content = {
            field.name: getattr(row, field.name)
            for field in dataclasses.fields(row)
            if field.name not in ("contenders", "goals")
        }
        content["goals"] = [dataclasses.asdict(goal) for goal in row.goals]
        found = [contender.name for contender in row.contenders]
        content["samples"] = {name: part.results[row.title, name].values for name in found}
        rows.append(content)
    return {"title": part.group.title, "rows": rows}


def _group_from_json(content: dict[str, Any]) -> Measured:
    rows = []
    results: Results = {}
    for fields in content["rows"]:
        samples, goals = fields.pop("samples"), fields.pop("goals")
        names = tuple(Contender(name, _lost) for name in samples)
        row = Row(contenders=names, goals=tuple(map(_goal_from_json, goals)), **fields)
        for name, values in samples.items():
            results[row.title, name] = Samples(tuple(values), row.is_rate)
        rows.append(row)
    return Measured(Group(content["title"], tuple(rows)), results)


def _goal_from_json(fields: dict[str, Any]) -> Goal:
    for name in ("over", "beyond", "base"):
        if fields[name] is not None:
            fields[name] = tuple(fields[name])
    return Goal(**fields)


def _lost() -> None:
    raise RuntimeError("what was read from a file cannot be measured again")
