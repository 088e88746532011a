"""One way to start runs with both drivers, and small graphs to start."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.runs import RunHandle
from waiting import auntil

IN_TIME = 10.0


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def row(*nodes: Any, **options: Any) -> Any:
    """Compile a graph that runs these nodes one after another, called `n0`, `n1`, ..."""
    builder = StateGraph(State)
    before = START
    for index, node in enumerate(nodes):
        builder.add_node(f"n{index}", node).add_edge(before, f"n{index}")
        before = f"n{index}"
    return builder.compile(**options)


def at_once(*nodes: Any, **options: Any) -> Any:
    """Compile a graph that runs all these nodes in one superstep."""
    builder = StateGraph(State)
    for index, node in enumerate(nodes):
        builder.add_node(f"n{index}", node).add_edge(START, f"n{index}")
    return builder.compile(**options)


def say(*items: Any) -> Any:
    """Return a node that writes these items and logs them."""

    def node(state: State) -> dict[str, Any]:
        for item in items:
            get_stream_writer()(item)
        return {"log": list(items)}

    return node


class Starter:
    """Starts runs of both drivers; handles are the same, so tests need not know which it was."""

    is_async = False

    def start(self, graph: Any, input: Any = None, config: Any = None, **options: Any) -> RunHandle:
        """Start a run, given an empty log by default."""
        return graph.start({"log": []} if input is None else input, config, **options)

    def sleeper(self) -> Sleeper:
        """Return a node that waits."""
        return Sleeper()

    def close(self) -> None:
        """End what the runs need."""


class AsyncStarter(Starter):
    """Starts them in an event loop of another thread."""

    is_async = True

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def start(self, graph: Any, input: Any = None, config: Any = None, **options: Any) -> RunHandle:
        given = {"log": []} if input is None else input
        return self.do(graph.astart(given, config, **options))

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Have the loop do something, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(IN_TIME)

    def sleeper(self) -> Sleeper:
        return AsyncSleeper()

    def close(self) -> None:
        async def left() -> set[Any]:
            await asyncio.sleep(0)
            return asyncio.all_tasks() - {asyncio.current_task()}

        tasks = self.do(left())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(IN_TIME)
        self.loop.close()
        assert tasks == set()


class Sleeper:
    """A node that waits until it is let go on, or stopped: by what it emits, or by its loop."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()
        self.may_go = threading.Event()

    @property
    def node(self) -> Any:
        def sleep(state: State) -> dict[str, Any]:
            write = get_stream_writer()
            write("asleep")
            self.began.set()
            try:
                while not self.may_go.wait(0.005):
                    write("asleep")
            finally:
                self.ended.set()
            return {"log": ["slept"]}

        return sleep

    def wait(self) -> None:
        """Wait until the node is asleep."""
        assert self.began.wait(IN_TIME)


class AsyncSleeper(Sleeper):
    @property
    def node(self) -> Any:
        async def sleep(state: State) -> dict[str, Any]:
            write = get_stream_writer()
            write("asleep")
            self.began.set()
            try:
                await auntil(self.may_go.is_set)
            finally:
                self.ended.set()
            return {"log": ["slept"]}

        return sleep


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Do work in a thread, and return what waits for its result."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(IN_TIME)
        assert not thread.is_alive()
        return found[0]

    return result


def data(events: Any) -> list[Any]:
    """Return what events say."""
    return [event.data for event in events]


async def adata(events: Any) -> list[Any]:
    """Return what events say."""
    return [event.data async for event in events]
