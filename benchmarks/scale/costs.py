"""What everything costs: measured by `calibrate`, used by `model` and `simulation`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).with_name("measured.json")
"""What was measured for docs/scale.md: costs, and what several processes have reached."""


@dataclass(frozen=True)
class Cost:
    """What one of something takes."""

    replica: float = 0.0
    """Seconds of a processor, in the process that serves."""
    database: float = 0.0
    """Seconds of a processor, in the processes of PostgreSQL."""
    client: float = 0.0
    """Seconds of a processor, in the client that reads it."""
    trips: float = 0.0
    """How often PostgreSQL is asked something and waited for."""
    commits: float = 0.0
    """Transactions."""
    log: float = 0.0
    """Bytes of PostgreSQL's log."""


@dataclass(frozen=True)
class Costs:
    """What was measured on a machine."""

    run: Cost
    """A run of one superstep that says one thing: it is stored, begun and ended."""
    superstep: Cost
    """Each further superstep."""
    batch: Cost
    """Each further transaction that stores events."""
    event: Cost
    """Each further event: it is said, stored with others, sent and read."""
    said: Cost
    """Each further event of a run whose events are not stored."""
    beside: Cost
    """What each run takes more where there is another replica: what that may want of it."""
    join: Cost
    """A reader that comes to a run at another replica."""
    fetch: Cost
    """Each time that this replica reads events of a run that it has been rung for."""
    fetched: Cost
    """Each event that it reads and passes on."""
    ring: Cost
    """A notification: `replica` is who rings; `database` without what follows."""
    heard: Cost
    """The same for each replica that listens: `database` is its connection's process."""
    before_first: float
    """Which part of a run comes before its first event is read."""
    held: float
    """Which part of what a replica computes holds the interpreter's lock."""
    woken: float
    """Seconds that it takes more each time that it lets go of that lock while others want it."""
    flush: float
    """Seconds that the disk takes to have the log; 0 if nobody waits for it."""
    log_rate: float
    """Bytes a second that the disk takes of a log."""
    slowing: float
    """How many times as long something takes where others use all cores, too, and the caches."""
    stream_memory: float
    """Bytes of memory in a replica of a run that waits, with its reader."""
    connections: int
    """What a replica has at most, to the database."""

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> Costs:
        """Return costs that were written down as JSON."""
        given: dict[str, Any] = {field.name: known[field.name] for field in fields(cls)}
        costs = {name: Cost(**each) for name, each in given.items() if isinstance(each, dict)}
        return cls(**{**given, **costs})

    def as_json(self) -> dict[str, Any]:
        """Return them to be written down."""
        return asdict(self)


def written(file: Path = MEASURED) -> dict[str, Any]:
    """Return what is written down in a file: `costs`, and `figures` of several processes."""
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return known
