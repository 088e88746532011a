"""Runs after other work: what they need is no longer in the processor's caches.

All other areas measure the same work again and again, as in a server that does nothing else. Here
the other of the two libraries has run before every sample, and a sample is one run.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.chain import ALL_MODES, build
from benchmarks.peers import PEERS, consumer, invoker, word
from benchmarks.rows import Call, Contender, Group, Kind, Row


def groups(length: int = 100) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    others = _others(length)
    for is_async in (False, True):
        chains = [
            consumer(graph, {"n": 0}, length, is_async=is_async, stream_mode="updates")
            for graph in (build(peer, length, is_async=is_async) for peer in PEERS)
        ]
        single = [
            invoker(build(peer, 1, is_async=is_async), {"n": 0}, {"n": 1}, is_async=is_async)
            for peer in PEERS
        ]
        title = f"chain of {length}, stream(updates), {word(is_async)}, cold"
        rows.append(Row(title, "step", length, _after(others, chains)))
        title = f"one-node run, invoke, {word(is_async)}, cold"
        rows.append(Row(title, "run", 1, _after(others, single)))
    return [Group("after other work", tuple(rows))]


def _after(others: Sequence[Call], calls: Sequence[Call]) -> tuple[Contender, ...]:
    """Return contenders each of which does its work once after that of the other."""
    return tuple(
        Contender(peer.name, call, other, kind=Kind.ONCE)
        for peer, other, call in zip(PEERS, others, calls, strict=True)
    )


def _others(length: int) -> list[Call]:
    """Return for each of `PEERS` what the other one does: a chain that shows all it can."""
    items = 6 * length + 1
    return [
        consumer(graph, {"n": 0}, items, is_async=False, stream_mode=ALL_MODES)
        for graph in (build(peer, length, is_async=False) for peer in reversed(PEERS))
    ]
