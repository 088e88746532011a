"""The ledger: what nodes have done in the world, which no database takes back.

A node writes a line as soon as it begins, so what was begun by a process that died a moment later
is known too. The file is shared by all replicas: a line is one write at the end of it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

LEDGER: Final = "MILLSTREAM_CHAOS_LEDGER"
"""The environment has under this name where the file is."""
REPLICA: Final = "MILLSTREAM_CHAOS_REPLICA"
"""And under this one who writes."""


class Entry(NamedTuple):
    """A node has begun."""

    at: float
    """By the clock that all processes of a machine share."""
    replica: str
    thread_id: str
    run_id: str
    attempt: int
    namespace: str
    """The graph: where it is called from, with the ids of tasks."""
    step: int
    task: str
    node: str
    """Its name, and what of it if it does several things."""

    @property
    def superstep(self) -> tuple[str, str, int]:
        """What the node is part of."""
        return self.run_id, self.namespace, self.step


def note(what: str = "") -> None:
    """Enter that the node which calls this has begun, or something in it."""
    from langgraph.config import get_config

    config = get_config()
    metadata = config["metadata"]
    namespace, _, task = metadata["langgraph_checkpoint_ns"].rpartition("|")
    entry = Entry(
        time.monotonic(),
        os.environ.get(REPLICA, ""),
        metadata["thread_id"],
        metadata["run_id"],
        metadata["run_attempt"],
        namespace,
        metadata["langgraph_step"],
        task.rpartition(":")[2],
        f"{metadata['langgraph_node']} {what}".strip(),
    )
    file = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{json.dumps(entry)}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> Iterator[Entry]:
    """Yield what was entered, in that order."""
    with path.open(encoding="utf-8") as lines:
        yield from parse(lines)


def parse(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the entries of some lines."""
    return (Entry(*json.loads(line)) for line in lines)
