"""A loop over a conditional edge, in a graph with many nodes that never run.

Nothing says where the edge leads, so every node is a possible destination. The loop of one step
shows what starting a run costs, which is part of every run.
"""

from __future__ import annotations

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


def groups(steps: int = 100, idle: int = 3000) -> list[Group]:
    """Return the groups of this area."""
    base = _row(steps, 0)
    crowded = _row(steps, idle)
    return [
        Group(
            "conditional-edge loop beside idle nodes",
            (
                base,
                Row(
                    crowded.title,
                    crowded.unit,
                    crowded.units,
                    crowded.contenders,
                    (growth(base.title, 1.15),),
                ),
                _row(1, 0),
                _row(1, idle),
            ),
        )
    ]


def _row(steps: int, idle: int) -> Row:
    graphs = [build(peer, steps, idle) for peer in PEERS]
    contenders = streams(graphs, {"n": 0}, steps, is_async=False, stream_mode="updates")
    unit = "step" if steps > 1 else "run"
    plural = "s" if steps > 1 else ""
    return Row(f"loop of {steps} step{plural}, {idle} idle nodes", unit, steps, contenders)
