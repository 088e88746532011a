"""A chain of nodes: what one superstep costs, with a tiny state and with a large one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from typing_extensions import TypedDict

from benchmarks import floor
from benchmarks.foreign import Engine, contenders
from benchmarks.peers import PEERS, Peer, invokes, streams, word
from benchmarks.rows import (
    FLOOR,
    NEOGRAPH,
    TASKS,
    Contender,
    Goal,
    Group,
    Row,
    ceiling,
    fraction,
    growth,
    multiple,
)

ALL_MODES: Final = ["values", "updates", "messages", "custom", "checkpoints", "tasks", "debug"]
ONE_RUN: Final = {False: 25.0, True: 40.0}
"""Microseconds a run of one node may take, sync and async."""
SYNC_NODE: Final = 40.0
"""Microseconds a step may take whose node is a sync function in an async run: it gets a thread."""
MESSAGES: Final = [{"role": "user", "content": "x" * 1000} for _ in range(50)]


class State(TypedDict):
    """One number."""

    n: int


class Talk(TypedDict):
    """A number beside what has been said."""

    n: int
    messages: Annotated[list[dict[str, str]], operator.add]


def step(state: State) -> State:
    """Count."""
    return {"n": state["n"] + 1}


async def astep(state: State) -> State:
    """Count, as a coroutine."""
    return {"n": state["n"] + 1}


def talk_step(state: Talk) -> dict[str, int]:
    """Count, after a look at the messages."""
    assert len(state["messages"]) == len(MESSAGES)
    return {"n": state["n"] + 1}


def build(peer: Peer, length: int, *, is_async: bool, **options: Any) -> Any:
    """Compile a chain of `length` nodes."""
    return build_of(peer, State, astep if is_async else step, length, **options)


def build_of(peer: Peer, schema: type, node: Any, length: int, **options: Any) -> Any:
    """Compile a chain in which each node is the same function."""
    return builder_of(peer, schema, node, length).compile(**options)


def builder_of(peer: Peer, schema: type, node: Any, length: int) -> Any:
    """Build such a chain."""
    builder = peer.StateGraph(schema)
    before = peer.START
    for index in range(length):
        name = f"n{index}"
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, peer.END)
    return builder


def groups(length: int = 100, engines: Sequence[Engine] = ()) -> list[Group]:
    """Return the groups of this area."""
    return [
        _chains(length, engines, is_async=False),
        _chains(length, engines, is_async=True),
        _sync_nodes(length),
        _one_node(),
        _talk(length, engines),
    ]


def _chains(length: int, engines: Sequence[Engine], *, is_async: bool) -> Group:
    driver = word(is_async)
    title = f"chain of {length}, stream(updates), {driver}"
    graphs = [build(peer, length, is_async=is_async) for peer in PEERS]
    goals: tuple[Goal, ...] = (ceiling(4.6), fraction(title, 30))
    if is_async:
        goals = (ceiling(12), fraction(title, 14), multiple(title, 2.2, TASKS))
    updates = (
        *streams(graphs, {"n": 0}, length, is_async=is_async, stream_mode="updates"),
        *_by_hand(length, is_async=is_async),
        *contenders(engines, "achain" if is_async else "chain", length),
    )
    # Start and end of every task, both again in `debug`, its update, the state (once more: input).
    items = 6 * length + 1
    every = streams(graphs, {"n": 0}, items, is_async=is_async, stream_mode=ALL_MODES)
    invoked = invokes(graphs, {"n": 0}, {"n": length}, is_async=is_async)
    return Group(
        f"chain of {length}, {driver}",
        (
            Row(title, "step", length, updates, goals),
            Row(
                f"chain of {length}, all modes at once, {driver}",
                "step",
                length,
                every,
                (growth(title, 1.8),),
            ),
            Row(f"chain of {length}, invoke, {driver}", "step", length, invoked),
        ),
    )


def _by_hand(length: int, *, is_async: bool) -> tuple[Contender, ...]:
    names = [f"n{index}" for index in range(length)]
    if not is_async:
        call: Callable[[], Any] = floor.chain([(name, step) for name in names])  # type: ignore[misc]  # a TypedDict is a dict here
        return (Contender(FLOOR, call),)
    nodes: Any = [(name, astep) for name in names]
    return (
        Contender(FLOOR, floor.achain(nodes)),
        Contender(TASKS, floor.achain_of_tasks(nodes)),
    )


def _sync_nodes(length: int) -> Group:
    title = f"chain of {length} sync nodes, stream(updates), async"
    graphs = [build(peer, length, is_async=False) for peer in PEERS]
    streamed = streams(graphs, {"n": 0}, length, is_async=True, stream_mode="updates")
    row = Row(title, "step", length, streamed, (ceiling(SYNC_NODE),))
    return Group("sync nodes in an async run", (row,))


def _one_node() -> Group:
    rows = []
    for is_async in (False, True):
        graphs = [build(peer, 1, is_async=is_async) for peer in PEERS]
        invoked = invokes(graphs, {"n": 0}, {"n": 1}, is_async=is_async)
        title = f"one-node run, invoke, {word(is_async)}"
        rows.append(Row(title, "run", 1, invoked, (ceiling(ONE_RUN[is_async]),)))
    return Group("runs of one node", tuple(rows))


def _talk(length: int, engines: Sequence[Engine]) -> Group:
    title = f"chain of {length}, state of 50 messages of 1 kB, sync"
    graphs = [build_of(peer, Talk, talk_step, length) for peer in PEERS]
    input = {"n": 0, "messages": MESSAGES}
    streamed = streams(graphs, input, length, is_async=False, stream_mode="updates")
    others = contenders(engines, "messages", length)
    goals = (fraction(title, 6, NEOGRAPH),)
    return Group("large state", (Row(title, "step", length, (*streamed, *others), goals),))
