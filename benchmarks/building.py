"""Building and compiling a graph."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks.chain import State, build, builder_of, step
from benchmarks.peers import PEERS
from benchmarks.rows import Contender, Group, Row, ceiling

BOTH: Final = 6.0
"""Milliseconds for building and compiling a thousand nodes."""
COMPILE: Final = 10.0
"""Milliseconds for compiling alone."""


def groups(count: int = 1000) -> list[Group]:
    """Return the groups of this area."""
    title = f"build and compile {count} nodes"
    building = tuple(
        Contender(peer.name, partial(build, peer, count, is_async=False)) for peer in PEERS
    )
    compiling = tuple(
        Contender(peer.name, builder_of(peer, State, step, count).compile) for peer in PEERS
    )
    rows = (
        Row(title, "graph", 1, building, (ceiling(BOTH, "ms"),), "ms"),
        Row(f"compile {count} nodes", "graph", 1, compiling, (ceiling(COMPILE, "ms"),), "ms"),
    )
    return [Group(title, rows)]
