"""One node that writes every key of a wide state: the cost of a key must not depend on the rest."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from benchmarks.peers import PEERS, Peer, streams
from benchmarks.rows import Goal, Group, Row, growth


def build(peer: Peer, count: int) -> Any:
    """Compile a graph of one node that writes `count` keys."""
    names = [f"k{index}" for index in range(count)]
    update = dict.fromkeys(names, 1)
    # Called as a value, because a type checker wants the keys spelled out.
    make_schema: Any = TypedDict
    builder = peer.StateGraph(make_schema("Wide", dict.fromkeys(names, int)))
    builder.add_node("write", lambda state: update)
    builder.add_edge(peer.START, "write")
    builder.add_edge("write", peer.END)
    return builder.compile()


def groups(counts: tuple[int, ...] = (125, 250, 500, 1000)) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    for count in counts:
        graphs = [build(peer, count) for peer in PEERS]
        contenders = streams(graphs, {"k0": 0}, 1, is_async=False, stream_mode="updates")
        goals: tuple[Goal, ...] = ()
        if count == counts[-1]:
            goals = (growth(_title(counts[0]), 1.3),)
        rows.append(Row(_title(count), "key", count, contenders, goals))
    return [Group("one node writes every key", tuple(rows))]


def _title(count: int) -> str:
    return f"one node writes {count} keys"
