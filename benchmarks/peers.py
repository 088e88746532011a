"""The two libraries seen through the names both of them have."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.rows import LANGGRAPH, MILLSTREAM, Call, Contender


@dataclass(frozen=True, slots=True)
class Peer:
    """One import root."""

    name: str
    StateGraph: Any
    START: str
    END: str
    Send: Any
    add_messages: Any


def load(root: str) -> Peer:
    """Import one library."""
    graph = importlib.import_module(f"{root}.graph")
    types = importlib.import_module(f"{root}.types")
    return Peer(root, graph.StateGraph, graph.START, graph.END, types.Send, graph.add_messages)


PEERS: Final = (load(MILLSTREAM), load(LANGGRAPH))


def consumer(graph: Any, input: Any, expected: int, *, is_async: bool, **options: Any) -> Call:
    """Return a call that streams a run to its end and checks how many items came."""
    config = {"recursion_limit": 10_000}

    def consume() -> None:
        count = sum(1 for _ in graph.stream(input, config, **options))
        assert count == expected, f"{count} items instead of {expected}"

    async def aconsume() -> None:
        count = 0
        async for _ in graph.astream(input, config, **options):
            count += 1
        assert count == expected, f"{count} items instead of {expected}"

    return aconsume if is_async else consume


def invoker(graph: Any, input: Any, expected: Any, *, is_async: bool) -> Call:
    """Return a call that runs a graph to its end and checks its result."""
    config = {"recursion_limit": 10_000}

    def invoke() -> None:
        result = graph.invoke(input, config)
        assert result == expected, f"{result} instead of {expected}"

    async def ainvoke() -> None:
        result = await graph.ainvoke(input, config)
        assert result == expected, f"{result} instead of {expected}"

    return ainvoke if is_async else invoke


def streams(graphs: list[Any], input: Any, expected: int, **options: Any) -> tuple[Contender, ...]:
    """Return one streaming contender per graph; `graphs` are in the order of `PEERS`."""
    return tuple(
        Contender(peer.name, consumer(graph, input, expected, **options))
        for peer, graph in zip(PEERS, graphs, strict=True)
    )


def invokes(
    graphs: list[Any], input: Any, expected: Any, *, is_async: bool
) -> tuple[Contender, ...]:
    """Return one invoking contender per graph; `graphs` are in the order of `PEERS`."""
    return tuple(
        Contender(peer.name, invoker(graph, input, expected, is_async=is_async))
        for peer, graph in zip(PEERS, graphs, strict=True)
    )


def word(is_async: bool) -> str:
    """Return how a row title calls the driver."""
    return "async" if is_async else "sync"
