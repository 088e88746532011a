"""A loop over a conditional edge, in a graph with many nodes that never run.

Nothing says where the edge leads, so every node is a possible destination. The loop of one step
shows what starting a run costs, which is part of every run.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmarks.chain import State, step
from benchmarks.peers import PEERS, Peer, streams
from benchmarks.rows import Group, Row, growth


def build(peer: Peer, steps: int, idle: int) -> Any:
    """Compile a one-node loop of so many steps beside `idle` other nodes."""
    end = peer.END

    def route(state: State) -> str:
        return "work" if state["n"] < steps else end

    builder = peer.StateGraph(State)
    builder.add_node("work", step)
    for index in range(idle):
        builder.add_node(f"idle{index}", step)
    builder.add_edge(peer.START, "work")
    builder.add_conditional_edges("work", route)
    return builder.compile()


def groups(steps: int = 100, idle: int = 10_000) -> list[Group]:
    """Return the groups of this area."""
    alone, crowded = (_rows(steps, count) for count in (0, idle))
    (base, start), (grown, grown_start) = alone, crowded
    grown = dataclasses.replace(grown, goals=(growth(base.title, 1.1),))
    return [
        Group("conditional-edge loop beside idle nodes", (base, grown, start, grown_start)),
    ]


def _rows(steps: int, idle: int) -> tuple[Row, Row]:
    """Return the loop, and the same graph beginning with the last step."""
    graphs = [build(peer, steps, idle) for peer in PEERS]
    loop, start = (
        streams(graphs, {"n": steps - count}, count, is_async=False, stream_mode="updates")
        for count in (steps, 1)
    )
    return (
        Row(f"loop of {steps} steps, {idle} idle nodes", "step", steps, loop),
        Row(f"loop of 1 step, {idle} idle nodes", "run", 1, start),
    )
