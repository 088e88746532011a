"""Building and compiling a graph."""

from __future__ import annotations

import functools
from typing import Final

from benchmarks.chain import build
from benchmarks.peers import PEERS
from benchmarks.rows import Contender, Group, Row, ceiling

LIMIT: Final = 6.0
"""Milliseconds for a thousand nodes."""


def groups(count: int = 1000) -> list[Group]:
    """Return the groups of this area."""
    contenders = tuple(
        Contender(peer.name, functools.partial(build, peer, count, is_async=False))
        for peer in PEERS
    )
    title = f"build and compile {count} nodes"
    return [Group(title, (Row(title, "graph", 1, contenders, (ceiling(LIMIT, "ms"),), "ms"),))]
