"""A chain of nodes with a tiny state: what one superstep costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typing_extensions import TypedDict

from benchmarks import floor
from benchmarks.peers import PEERS, Peer, invokes, streams, word
from benchmarks.rows import FLOOR, Contender, Group, Row, ceiling, fraction

ALL_MODES = ["values", "updates", "custom", "tasks", "debug"]


class State(TypedDict):
    """One number."""

    n: int


def step(state: State) -> State:
    """Count."""
    return {"n": state["n"] + 1}


async def astep(state: State) -> State:
    """Count, as a coroutine."""
    return {"n": state["n"] + 1}


def build(peer: Peer, length: int, *, is_async: bool, **options: Any) -> Any:
    """Compile a chain of `length` nodes."""
    builder = peer.StateGraph(State)
    before = peer.START
    for index in range(length):
        name = f"n{index}"
        builder.add_node(name, astep if is_async else step)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, peer.END)
    return builder.compile(**options)


def groups(length: int = 100) -> list[Group]:
    """Return the groups of this area."""
    return [
        _updates(length, is_async=False),
        _updates(length, is_async=True),
        _others(length, is_async=False),
        _others(length, is_async=True),
    ]


def _updates(length: int, *, is_async: bool) -> Group:
    title = f"chain of {length}, stream(updates), {word(is_async)}"
    graphs = [build(peer, length, is_async=is_async) for peer in PEERS]
    contenders = streams(graphs, {"n": 0}, length, is_async=is_async, stream_mode="updates")
    names = [f"n{index}" for index in range(length)]
    by_hand: Callable[[], Any] = (
        floor.achain([(name, astep) for name in names])  # type: ignore[misc]  # a TypedDict is a dict here
        if is_async
        else floor.chain([(name, step) for name in names])  # type: ignore[misc]  # same
    )
    goals = (ceiling(18), fraction(title, 9)) if is_async else (ceiling(10), fraction(title, 14))
    row = Row(title, "step", length, (*contenders, Contender(FLOOR, by_hand)), goals)
    return Group(title, (row,))


def _others(length: int, *, is_async: bool) -> Group:
    driver = word(is_async)
    graphs = [build(peer, length, is_async=is_async) for peer in PEERS]
    single = [build(peer, 1, is_async=is_async) for peer in PEERS]
    # Start and end of every task, both again in `debug`, its update, the state (once more: input).
    items = 6 * length + 1
    return Group(
        f"chain, other ways to run it, {driver}",
        (
            Row(
                f"chain of {length}, invoke, {driver}",
                "step",
                length,
                invokes(graphs, {"n": 0}, {"n": length}, is_async=is_async),
            ),
            Row(
                f"chain of {length}, all state modes at once, {driver}",
                "step",
                length,
                streams(graphs, {"n": 0}, items, is_async=is_async, stream_mode=ALL_MODES),
            ),
            Row(
                f"one-node run, invoke, {driver}",
                "run",
                1,
                invokes(single, {"n": 0}, {"n": 1}, is_async=is_async),
            ),
        ),
    )
