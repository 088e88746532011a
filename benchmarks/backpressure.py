"""Readers that are slow, and readers that leave: peak memory, and how soon the model stops.

Memory is compared with that of the chat model alone: LangChain keeps all chunks of an answer until
it is complete, more than 20 MB of them in 100 000 tokens, whoever reads them and however fast. What
a run adds to that is what its bound is about.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from benchmarks.peers import PEERS, Peer, word
from benchmarks.rows import FLOOR, MILLSTREAM, Contender, Group, Kind, Row, added, ceiling
from benchmarks.tokens import State, Typist, build

SOURCES: Final = ("messages", "custom")
MEMORY: Final = 20.0
"""Megabytes a run may grow by while its reader is slow."""
DELAY: Final = 50.0
"""Milliseconds until the model has stopped."""
DEPTHS: Final = (0, 3)
BOUND: Final = 5
"""How many tokens there may be for a reader, in the rows with a bound."""
TIMES: Final = 5
"""How often a stream is left; the slowest counts."""
LONG: Final = 10_000
"""Tokens after which a sync model that nobody stops, as in langgraph, ends nevertheless."""
PATIENCE: Final = 10.0
"""Seconds after which a model that goes on is an error."""
TURN: Final = threading.Lock()
"""Held while time is measured: gauges are read all at once."""


class Endless(Typist):
    """Never stops by itself, in sync runs not for long; notes when it was made to."""

    count: int = 0
    stop_time: float = 0.0
    stopped: asyncio.Event = Field(default_factory=asyncio.Event)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        try:
            for _ in range(LONG):
                yield ChatGenerationChunk(message=AIMessageChunk("token "))
        finally:
            self.stop_time = time.perf_counter()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        try:
            while True:
                yield ChatGenerationChunk(message=AIMessageChunk("token "))
                await asyncio.sleep(0)
        finally:
            self.stop_time = time.perf_counter()
            self.stopped.set()


def groups(items: int = 20) -> list[Group]:
    """Return the groups of this area; a slow reader reads `items` for each superstep asked for."""
    slow = [_slow_row(source, word(sort), items) for source in SOURCES for sort in (False, True)]
    leaving = [
        _leaving_row(depth, driver, bound)
        for depth in DEPTHS
        for driver, bound in ((word(True), None), (word(True), BOUND), (word(False), None))
    ]
    return [
        Group(
            "growth of peak memory, with a reader that takes 1 ms an item; "
            "floor = the chat model alone, which keeps its chunks",
            tuple(slow),
        ),
        Group("time until the model is stopped after its reader has left", tuple(leaving)),
    ]


def _leaving_row(depth: int, driver: str, bound: int | None) -> Row:
    is_async = driver == word(True)
    return Row(
        f"leaving, {depth} subgraphs deep, {driver}" + (f", max_buffered={bound}" if bound else ""),
        "stream",
        1,
        tuple(_delay_gauge(peer, depth, bound, is_async=is_async) for peer in PEERS),
        (ceiling(DELAY, "ms"),),
        "ms",
    )


def _slow_row(source: str, driver: str, items: int) -> Row:
    title = f"slow reader of {source}, {driver}"
    names = [peer.name for peer in PEERS]
    goal = ceiling(MEMORY, "MB")
    if source == "messages":
        # What a chat model keeps by itself is not the graph's.
        names.append(FLOOR)
        goal = added(title, MEMORY, "MB")
    gauges = tuple(_memory_gauge(name, driver, source, items) for name in names)
    return Row(title, "run", 1, gauges, (goal,), "MB")


def _memory_gauge(name: str, driver: str, source: str, items: int) -> Contender:
    def gauge(supersteps: int) -> float:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.slow_reader"]
            + [name, driver, source, str(supersteps * items)],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return float(done.stdout)

    return Contender(name, gauge, kind=Kind.GAUGE)


def _delay_gauge(peer: Peer, depth: int, bound: int | None, *, is_async: bool) -> Contender:
    options: dict[str, Any] = {"stream_mode": "messages", "subgraphs": True}
    if peer.name == MILLSTREAM:
        options["max_buffered"] = bound

    def gauge(_: int) -> float:
        delays = []
        with TURN:
            for _ in range(TIMES):
                model = Endless()
                graph = _nested(peer, model, depth, is_async=is_async)
                if is_async:
                    delays.append(asyncio.run(aleave(graph, model, options)))
                else:
                    delays.append(leave(graph, model, options))
        return max(delays)

    return Contender(peer.name, gauge, kind=Kind.GAUGE)


def _nested(peer: Peer, model: Endless, depth: int, *, is_async: bool) -> Any:
    graph = build(peer, model, is_async=is_async)
    for _ in range(depth):
        builder = peer.StateGraph(State)
        builder.add_node("child", graph)
        builder.add_edge(peer.START, "child")
        graph = builder.compile()
    return graph


def leave(graph: Any, model: Endless, options: dict[str, Any]) -> float:
    """Leave a stream after ten tokens; return how many milliseconds later the model stopped."""
    with closing(graph.stream({"prompt": "go"}, **options)) as items:
        for _ in islice(items, 10):
            pass
        left = time.perf_counter()
    assert model.stop_time, "the model goes on"
    return (model.stop_time - left) * 1000


async def aleave(graph: Any, model: Endless, options: dict[str, Any]) -> float:
    """Do the same as `leave` with an async stream."""
    count = 0
    async with aclosing(graph.astream({"prompt": "go"}, **options)) as items:
        async for _ in items:
            count += 1
            if count == 10:
                break
        left = time.perf_counter()
    await asyncio.wait_for(model.stopped.wait(), PATIENCE)
    return (model.stop_time - left) * 1000
