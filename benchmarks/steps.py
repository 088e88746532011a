"""One long run: a step costs the same later on."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from benchmarks.chain import State, step
from benchmarks.peers import PEERS, Peer
from benchmarks.rows import Contender, Group, Kind, Row, growth


def groups(length: int = 100, early: int = 100, late: int = 900) -> list[Group]:
    """Return the groups of this area."""
    base, grown = (f"steps {start}-{start + length} of one run" for start in (early, late))
    return [
        Group(
            "a long run, early and late",
            (
                Row(base, "step", length, tuple(_window(p, early, length) for p in PEERS)),
                Row(
                    grown,
                    "step",
                    length,
                    tuple(_window(p, late, length) for p in PEERS),
                    (growth(base, 1.1),),
                ),
            ),
        )
    ]


def _window(peer: Peer, start: int, length: int) -> Contender:
    """Return what measures a part of a run: it is led up to the part outside the clock."""
    builder = peer.StateGraph(State)
    builder.add_node("work", step)
    builder.add_edge(peer.START, "work")
    builder.add_conditional_edges("work", lambda state: "work", ["work"])
    graph = builder.compile()
    stream: Any = None

    def begin() -> None:
        nonlocal stream
        end()
        stream = graph.stream({"n": 0}, {"recursion_limit": 100_000}, stream_mode="updates")
        assert sum(1 for _ in islice(stream, start)) == start

    def go_on() -> None:
        (last,) = deque(islice(stream, length), 1)
        assert last == {"work": {"n": start + length}}

    def end() -> None:
        if stream is not None:
            stream.close()

    return Contender(peer.name, go_on, begin, end, Kind.ONCE)
