"""One run that is faster than its reader: `-m benchmarks.slow_reader WHO DRIVER SOURCE N`.

It reads N items, a millisecond each, and prints by how many megabytes the peak of the process's
resident memory has grown since a first, short run. SOURCE is `messages`, tokens of a chat model, or
`custom`, what a node writes. LangChain's chat models keep all they have said until they are done:
`floor` as WHO reads such a model without a graph. Only millstream can be told to wait.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from langgraph.types import StreamWriter

from benchmarks.memory import peak
from benchmarks.peers import load
from benchmarks.rows import FLOOR, MILLSTREAM
from benchmarks.tokens import State, Typist, build

PAUSE: Final = 0.001
"""Seconds the reader takes for each item."""
MAX_BUFFERED: Final = 64
WARM_UP: Final = 200
"""Items of the first run."""
RESOLUTION: Final = 0.1
"""Megabytes; less cannot be told from nothing."""


def writing(root: str, count: int, *, is_async: bool) -> Any:
    """Compile a node that writes so many items; the async one does so in a way that can wait."""

    def write(state: State, writer: StreamWriter) -> None:
        for number in range(count):
            writer(f"{number:1000}")

    async def awrite(state: State, writer: StreamWriter) -> None:
        for number in range(count):
            await asyncio.to_thread(writer, f"{number:1000}")

    peer = load(root)
    builder = peer.StateGraph(State)
    builder.add_node("write", awrite if is_async else write)
    builder.add_edge(peer.START, "write")
    return builder.compile()


def items_of(who: str, driver: str, source: str, count: int) -> Any:
    """Return the iterator, or async iterator, over so many items."""
    is_async = driver == "async"
    model = Typist(count=count)
    if who == FLOOR:
        return model.astream("go") if is_async else model.stream("go")
    if source == "messages":
        graph = build(load(who), model, is_async=is_async)
    else:
        graph = writing(who, count, is_async=is_async)
    options = {"max_buffered": MAX_BUFFERED} if who == MILLSTREAM else {}
    stream = graph.astream if is_async else graph.stream
    return stream({"prompt": "go"}, stream_mode=source, **options)


def read(items: Iterator[Any], pause: float) -> int:
    """Read to the end, slowly; return how many there were."""
    count = 0
    for _ in items:
        time.sleep(pause)
        count += 1
    return count


async def aread(items: AsyncIterator[Any], pause: float) -> int:
    """Read to the end, slowly; return how many there were."""
    count = 0
    async for _ in items:
        await asyncio.sleep(pause)
        count += 1
    return count


def run(who: str, driver: str, source: str, count: int, pause: float) -> None:
    """Read so many items."""
    items = items_of(who, driver, source, count)
    found = asyncio.run(aread(items, pause)) if driver == "async" else read(items, pause)
    assert found >= count, f"{found} items instead of {count}"


if __name__ == "__main__":
    who, driver, source, count = sys.argv[1:]
    run(who, driver, source, WARM_UP, 0.0)
    before = peak()
    run(who, driver, source, int(count), PAUSE)
    print(max(RESOLUTION, peak() - before))
