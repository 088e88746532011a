"""Graphs inside graphs: a one-node graph as a node, and called from a node."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.chain import State
from benchmarks.chain import build as build_chain
from benchmarks.peers import PEERS, Peer, streams, word
from benchmarks.rows import Group, Row, ceiling, fraction

LIMIT: Final = 50.0
"""Microseconds the call of a graph of one node may take."""
DIVISOR: Final = {False: 14, True: 12}
"""By how much it must cost less than langgraph's, sync and async."""


def build_nodes(peer: Peer, length: int, *, is_async: bool) -> Any:
    """Compile a chain whose nodes are graphs."""
    child = build_chain(peer, 1, is_async=is_async)
    builder = peer.StateGraph(State)
    before = peer.START
    for index in range(length):
        builder.add_node(f"n{index}", child)
        builder.add_edge(before, f"n{index}")
        before = f"n{index}"
    builder.add_edge(before, peer.END)
    return builder.compile()


def build_calls(peer: Peer, count: int, *, is_async: bool) -> Any:
    """Compile a graph whose node runs another graph `count` times."""
    child = build_chain(peer, 1, is_async=is_async)

    def call(state: State) -> State:
        for _ in range(count):
            state = child.invoke(state)
        return state

    async def acall(state: State) -> State:
        for _ in range(count):
            state = await child.ainvoke(state)
        return state

    builder = peer.StateGraph(State)
    builder.add_node("call", acall if is_async else call)
    builder.add_edge(peer.START, "call")
    builder.add_edge("call", peer.END)
    return builder.compile()


def groups(count: int = 50) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    for title, build, items in (
        ("one-node graph as a node", build_nodes, count),
        ("one-node graph called in a node", build_calls, 1),
    ):
        for is_async in (False, True):
            graphs = [build(peer, count, is_async=is_async) for peer in PEERS]
            contenders = streams(graphs, {"n": 0}, items, is_async=is_async, stream_mode="updates")
            name = f"{title}, {word(is_async)}"
            goals = (ceiling(LIMIT), fraction(name, DIVISOR[is_async]))
            rows.append(Row(name, "call", count, contenders, goals))
    return [Group("subgraphs", tuple(rows))]
