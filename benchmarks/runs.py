"""Run streams: what a token costs in `run.messages`, and what the log of all events costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from langchain_core.runnables import RunnableConfig

from benchmarks import chain
from benchmarks.peers import PEERS, Peer, word
from benchmarks.rows import (
    FLOOR,
    Call,
    Contender,
    Goal,
    Group,
    Row,
    added,
    added_fraction,
    fraction,
)
from benchmarks.tokens import State, Typist, by_hand

Count: TypeAlias = Callable[[Any], Any]
"""Reads a run stream to its end and says how many items there were, perhaps to be awaited."""

TOKEN_LIMIT: Final = 22
"""Microseconds that a token may add in `run.messages`, if tokens come faster than they are read.
One that comes alone also wakes two tasks, which costs what the event loop costs."""


def build(peer: Peer, model: Typist, *, is_async: bool) -> Any:
    """Compile a node that asks the model; that it streams is the run's doing."""

    def ask(state: State) -> None:
        model.invoke(state["prompt"])

    async def aask(state: State, config: RunnableConfig) -> None:
        # Given the config, because langgraph needs it on Python 3.10.
        await model.ainvoke(state["prompt"], config)

    builder = peer.StateGraph(State)
    builder.add_node("ask", aask if is_async else ask)
    builder.add_edge(peer.START, "ask")
    return builder.compile()


def count_tokens(run: Any) -> int:
    """Count the pieces of text of all messages."""
    return sum(1 for message in run.messages for _ in message.text)


async def acount_tokens(run: Any) -> int:
    """Count the pieces of text of all messages of an async run."""
    count = 0
    async for message in run.messages:
        async for _ in message.text:
            count += 1
    return count


def count_events(run: Any) -> int:
    """Count the events of the log."""
    return sum(1 for _ in run)


async def acount_events(run: Any) -> int:
    """Count the events of the log of an async run."""
    count = 0
    async for _ in run:
        count += 1
    return count


TOKENS: Final = (count_tokens, acount_tokens)
EVENTS: Final = (count_events, acount_events)


def by_hand_sync(model: Typist) -> Callable[[], None]:
    """Return a call that reads the model's own stream; see `tokens.by_hand`."""

    def read() -> None:
        for _ in model.stream("go"):
            pass

    return read


def groups(count: int = 1000, length: int = 100) -> list[Group]:
    """Return the groups of this area."""
    rows = [
        *_token_rows(Typist(count=count), "model", is_async=False),
        *_token_rows(Typist(count=count), "model", is_async=True),
        *_token_rows(Typist(count=count, is_yielding=True), "yielding model", is_async=True),
    ]
    logs = tuple(_superstep_row(length, is_async=is_async) for is_async in (False, True))
    return [
        Group("run streams; floor = reading the model's own stream", tuple(rows)),
        Group(f"run streams, chain of {length}", logs),
    ]


def _token_rows(model: Typist, kind: str, *, is_async: bool) -> list[Row]:
    """Return what a token costs in the text of its message, and in the log."""
    graphs = [build(peer, model, is_async=is_async) for peer in PEERS]
    floor = Contender(FLOOR, by_hand(model) if is_async else by_hand_sync(model))
    text, log = (f"{read}, {kind}, {word(is_async)}" for read in ("run.messages", "event log"))

    def row(title: str, read: tuple[Count, Count], *goals: Goal) -> Row:
        readers = _readers(graphs, {"prompt": "go"}, read, model.count, is_async=is_async)
        goals = (*goals, added_fraction(title, 2))
        return Row(title, "token", model.count, (*readers, floor), goals)

    limits = () if model.is_yielding else (added(text, TOKEN_LIMIT),)
    return [row(text, TOKENS, *limits), row(log, EVENTS)]


def _superstep_row(length: int, *, is_async: bool) -> Row:
    graphs = [chain.build(peer, length, is_async=is_async) for peer in PEERS]
    title = f"event log, chain of {length}, {word(is_async)}"
    readers = _readers(graphs, {"n": 0}, EVENTS, length, is_async=is_async)
    return Row(title, "step", length, readers, (fraction(title, 2),))


def _readers(
    graphs: list[Any], input: Any, read: tuple[Count, Count], least: int, *, is_async: bool
) -> tuple[Contender, ...]:
    """Return one contender per graph; `graphs` are in the order of `PEERS`."""
    return tuple(
        Contender(peer.name, _reader(graph, input, read, least, is_async=is_async))
        for peer, graph in zip(PEERS, graphs, strict=True)
    )


def _reader(
    graph: Any, input: Any, read: tuple[Count, Count], least: int, *, is_async: bool
) -> Call:
    """Return a call that reads one run to its end, which must have at least so many items."""
    config: RunnableConfig = {"recursion_limit": 10_000}
    count, acount = read

    def consume() -> None:
        found = count(graph.stream_events(input, config, version="v3"))
        assert found >= least, f"{found} items instead of {least} or more"

    async def aconsume() -> None:
        found = await acount(await graph.astream_events(input, config, version="v3"))
        assert found >= least, f"{found} items instead of {least} or more"

    return aconsume if is_async else consume
