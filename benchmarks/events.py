"""Custom events: what one item written by a node costs until the consumer has it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from langgraph.types import StreamWriter

from benchmarks.chain import State
from benchmarks.peers import PEERS, Peer, streams, word
from benchmarks.rows import Group, Row, ceiling

LIMITS: Final = {False: 1.0, True: 4.5}
"""Microseconds an event may cost, sync and async."""


def build(peer: Peer, count: int, *, is_async: bool) -> Any:
    """Compile a node that writes `count` items; the async one yields to the loop after each."""

    def write(state: State, writer: StreamWriter) -> State:
        for index in range(count):
            writer(index)
        return state

    async def awrite(state: State, writer: StreamWriter) -> State:
        for index in range(count):
            writer(index)
            await asyncio.sleep(0)
        return state

    builder = peer.StateGraph(State)
    builder.add_node("write", awrite if is_async else write)
    builder.add_edge(peer.START, "write")
    builder.add_edge("write", peer.END)
    return builder.compile()


def groups(count: int = 1000) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    for is_async in (False, True):
        graphs = [build(peer, count, is_async=is_async) for peer in PEERS]
        contenders = streams(graphs, {"n": 0}, count, is_async=is_async, stream_mode="custom")
        title, goals = f"custom events, {word(is_async)}", (ceiling(LIMITS[is_async]),)
        rows.append(Row(title, "event", count, contenders, goals))
    return [Group("custom events", tuple(rows))]
