"""What clients have written down, as conversations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Seen(NamedTuple):
    """An event that a client has seen."""

    at: float
    id: str | None
    event: str
    data: Any

    @property
    def mode(self) -> str:
        """The stream mode, or what else it is."""
        return self.event.partition("|")[0]

    @property
    def namespace(self) -> str:
        """The graph that it is about: the names of nodes, with the ids of tasks."""
        return self.event.partition("|")[2]


@dataclass
class Turn:
    """One run, as the client that has created it has seen it."""

    run_id: str = ""
    status: str = ""
    seen: list[Seen] = field(default_factory=list)
    joined: list[float] = field(default_factory=list)
    """When its stream was asked for again."""
    early: int = 0
    """How often its stream has ended in order before the run had."""
    failed: list[str] = field(default_factory=list)
    """What the SDK has given up."""


@dataclass
class Told:
    """One conversation."""

    client: str = ""
    name: str = ""
    scenario: str = ""
    durability: str = ""
    thread_id: str = ""
    turns: list[Turn] = field(default_factory=list)
    state: Any = None
    """What the thread has come to; None if the conversation has not ended."""


def read(path: Path) -> Iterator[Told]:
    """Yield the conversations of a file of records."""
    lines: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            # Its place in the line is the same in all: it need not be parsed for it.
            name = line.partition('"conversation":"')[2].partition('"')[0]
            lines.setdefault(name, []).append(line)
    while lines:
        yield told(map(json.loads, lines.pop(next(iter(lines)))))


def told(records: Iterable[dict[str, Any]]) -> Told:
    """Return the conversation that some records are about."""
    found = Told()
    for record in records:
        kind = record["kind"]
        if kind == "begun":
            for key in ("client", "name", "scenario", "durability", "thread_id"):
                setattr(found, key, record[key])
        elif kind == "ended":
            found.state = record["state"]
        else:
            number = record["turn"]
            while len(found.turns) <= number:
                found.turns.append(Turn())
            _take(found.turns[number], record)
    return found


def _take(turn: Turn, record: dict[str, Any]) -> None:
    kind = record["kind"]
    if kind == "event":
        turn.seen.append(Seen(record["at"], record["id"], record["event"], record["data"]))
    elif kind == "created":
        turn.run_id = record["run"]
    elif kind == "over":
        turn.status = record["status"]
    elif kind == "joined":
        turn.joined.append(record["at"])
    elif kind == "early":
        turn.early += 1
    elif kind == "failed":
        turn.failed.append(record["error"])
