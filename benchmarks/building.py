"""Building and compiling a graph."""

from __future__ import annotations

import functools

from benchmarks.chain import build
from benchmarks.peers import PEERS
from benchmarks.rows import Contender, Group, Row


def groups(count: int = 1000) -> list[Group]:
    """Return the groups of this area."""
    contenders = tuple(
        Contender(peer.name, functools.partial(build, peer, count, is_async=False))
        for peer in PEERS
    )
    title = f"build and compile {count} nodes"
    return [Group(title, (Row(title, "node", count, contenders),))]
