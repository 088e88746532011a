"""Runs that are saved in memory or nowhere: what a superstep costs, and costs later on.

Savers that store in a database are in `journals`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from typing import Annotated, Any, Final

from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from benchmarks.chain import astep, build, build_of, step
from benchmarks.null_saver import NullSaver
from benchmarks.peers import PEERS, Peer, word
from benchmarks.rows import Contender, Group, Kind, Row, fraction, growth
from benchmarks.states import conversation, talk_of

START: Final = {"n": 0}
GROWTH: Final = 1.5
"""How much more a step may cost 800 entries later. Joining lists copies them, which is a few of its
microseconds; anything done in Python for every entry would cost more than the step."""


class Log(TypedDict):
    """A list that every step makes longer."""

    entries: Annotated[list[str], operator.add]


def groups(length: int = 100, early: int = 100, late: int = 900) -> list[Group]:
    """Return the groups of this area."""
    return [
        _chains(length),
        _leaving(length),
        _growth(NullSaver, length, early, late),
        _growth(InMemorySaver, length, early, late),
    ]


def _chains(length: int) -> Group:
    rows = []
    for is_async in (False, True):
        title = f"chain of {length}, InMemorySaver, {word(is_async)}"
        contenders = tuple(in_memory(peer, length, is_async=is_async) for peer in PEERS)
        rows.append(Row(title, "step", length, contenders, (fraction(title, 3),)))
    return Group("chain with InMemorySaver", tuple(rows))


def in_memory(peer: Peer, length: int, *, is_async: bool) -> Contender:
    """Return a chain whose saver keeps everything in memory."""
    saver = InMemorySaver()
    graph = build(peer, length, is_async=is_async, checkpointer=saver)
    configs = threads()

    async def acall() -> None:
        await aconsume(graph, next(configs), length)

    call = acall if is_async else lambda: consume(graph, next(configs), length)
    return Contender(peer.name, call, partial(_forget, saver))


def _leaving(length: int, messages: int = 100) -> Group:
    """Return what a step costs that is stored, if at all, when the run has ended."""
    rows = []
    for make in (NullSaver, InMemorySaver):
        for is_async in (False, True):
            contenders = tuple(_exit(peer, make(), length, messages, is_async) for peer in PEERS)
            title = f"durability exit, {messages} messages, {make.__name__}, {word(is_async)}"
            rows.append(Row(title, "step", length, contenders))
    return Group(f"chain of {length} that is stored at its end", tuple(rows))


def _exit(peer: Peer, saver: Any, length: int, messages: int, is_async: bool) -> Contender:
    graph = build_of(peer, talk_of(peer), astep if is_async else step, length, checkpointer=saver)
    said = {"n": 0, "messages": conversation(messages)}
    configs = threads()

    async def acall() -> None:
        await aconsume(graph, next(configs), length, said, "exit")

    def call() -> None:
        consume(graph, next(configs), length, said, "exit")

    return Contender(peer.name, acall if is_async else call, partial(_forget, saver))


def _forget(saver: Any) -> None:
    if isinstance(saver, InMemorySaver):
        saver.storage.clear()
        saver.writes.clear()
        saver.blobs.clear()


def threads() -> Iterator[dict[str, Any]]:
    """Yield the config of one new thread after the other."""
    for number in count():
        yield {"recursion_limit": 10_000, "configurable": {"thread_id": str(number)}}


def consume(
    graph: Any, config: Any, expected: int, input: Any = START, durability: Any = None
) -> None:
    """Stream a run to its end and check how many steps there were."""
    stream = graph.stream(input, config, stream_mode="updates", durability=durability)
    seen = sum(1 for _ in stream)
    assert seen == expected


async def aconsume(
    graph: Any, config: Any, expected: int, input: Any = START, durability: Any = None
) -> None:
    """Stream an async run to its end and check how many steps there were."""
    seen = 0
    async for _ in graph.astream(input, config, stream_mode="updates", durability=durability):
        seen += 1
    assert seen == expected


def _growth(make: Callable[[], Any], length: int, early: int, late: int) -> Group:
    base, grown = (f"growing list from step {start}, {make.__name__}" for start in (early, late))
    # Only the run itself must not grow: what a saver keeps of a list grows with it.
    goals = (growth(base, GROWTH),) if make is NullSaver else ()
    return Group(
        f"one run of a growing list with {make.__name__}, early and late",
        (
            Row(base, "step", length, tuple(_window(p, make, early, length) for p in PEERS)),
            Row(grown, "step", length, tuple(_window(p, make, late, length) for p in PEERS), goals),
        ),
    )


def _window(peer: Peer, make: Callable[[], Any], start: int, length: int) -> Contender:
    """Return what measures a part of one run: it is led up to the part outside the clock."""
    builder = peer.StateGraph(Log)
    builder.add_node("grow", lambda state: {"entries": [f"entry {len(state['entries'])}"]})
    builder.add_edge(peer.START, "grow")
    builder.add_conditional_edges("grow", lambda state: "grow", ["grow"])
    stream: Any = None

    def begin() -> None:
        nonlocal stream
        end()
        graph = builder.compile(checkpointer=make())
        config = {"recursion_limit": 100_000, "configurable": {"thread_id": "1"}}
        # With `sync` a part ends with what it has to store.
        stream = graph.stream({"entries": []}, config, stream_mode="updates", durability="sync")
        assert sum(1 for _ in islice(stream, start)) == start

    def go_on() -> None:
        assert sum(1 for _ in islice(stream, length)) == length

    def end() -> None:
        if stream is not None:
            stream.close()

    return Contender(peer.name, go_on, begin, end, Kind.ONCE)
