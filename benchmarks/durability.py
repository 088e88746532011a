"""Peak memory of runs that are faster than their saver; `slow_saver` is one such run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.peers import PEERS, Peer, word
from benchmarks.rows import Contender, Group, Kind, Row, at_most_beyond

EXTRA: Final = 10.0
"""Megabytes that `async` may take beyond `sync`."""


def groups(drivers: Sequence[str] = (word(False), word(True))) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    for driver in drivers:
        base = f"durability sync, {driver}"
        for durability in ("sync", "async"):
            contenders = tuple(_gauge(peer, driver, durability) for peer in PEERS)
            goals = (at_most_beyond(base, EXTRA),) if durability == "async" else ()
            title = f"durability {durability}, {driver}"
            rows.append(Row(title, "run", 1, contenders, goals, "MB"))
    return [Group("peak memory, with a saver that takes 5 ms", tuple(rows))]


def _gauge(peer: Peer, driver: str, durability: str) -> Contender:
    def gauge(supersteps: int) -> float:
        command = [peer.name, driver, durability, str(supersteps)]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.slow_saver", *command],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return float(done.stdout)

    return Contender(peer.name, gauge, kind=Kind.GAUGE)
