"""Many tasks in one superstep."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Annotated, Any, Final

from typing_extensions import TypedDict

from benchmarks.foreign import Engine, contenders
from benchmarks.peers import PEERS, Peer, streams, word
from benchmarks.rows import Group, Row, ceiling

LIMIT: Final = 10.0
"""Microseconds an async task may take."""


class Total(TypedDict):
    """A sum that every task adds to."""

    total: Annotated[int, operator.add]


def add(state: Any) -> dict[str, int]:
    """Add one."""
    return {"total": 1}


async def aadd(state: Any) -> dict[str, int]:
    """Add one, as a coroutine."""
    return {"total": 1}


def build_branches(peer: Peer, width: int, *, is_async: bool) -> Any:
    """Compile a graph whose nodes all start at once."""
    builder = peer.StateGraph(Total)
    for index in range(width):
        builder.add_node(f"n{index}", aadd if is_async else add)
        builder.add_edge(peer.START, f"n{index}")
        builder.add_edge(f"n{index}", peer.END)
    return builder.compile()


def build_sends(peer: Peer, width: int, *, is_async: bool) -> Any:
    """Compile a graph that sends `width` inputs to one node."""
    send = peer.Send

    def scatter(state: Total) -> list[Any]:
        return [send("work", index) for index in range(width)]

    builder = peer.StateGraph(Total)
    builder.add_node("work", aadd if is_async else add)
    builder.add_conditional_edges(peer.START, scatter, ["work"])
    builder.add_edge("work", peer.END)
    return builder.compile()


def groups(branches: int = 100, sends: int = 1000, engines: Sequence[Engine] = ()) -> list[Group]:
    """Return the groups of this area."""
    groups = []
    for title, work, build, width in (
        (f"fan-out of {branches} nodes", "branches", build_branches, branches),
        (f"Send x {sends}", "sends", build_sends, sends),
    ):
        rows = []
        for is_async in (False, True):
            graphs = [build(peer, width, is_async=is_async) for peer in PEERS]
            streamed = streams(
                graphs, {"total": 0}, width, is_async=is_async, stream_mode="updates"
            )
            others = contenders(engines, f"a{work}" if is_async else work, width)
            goals = (ceiling(LIMIT),) if is_async else ()
            every = (*streamed, *others)
            rows.append(Row(f"{title}, {word(is_async)}", "task", width, every, goals))
        groups.append(Group(title, tuple(rows)))
    return groups
