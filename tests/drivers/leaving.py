"""Situations an async run can be left in, ways to leave it, and a strict event loop around both."""

from __future__ import annotations

import asyncio
import gc
import operator
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy, Send, TimeoutPolicy

FOREVER = 60.0


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


@dataclass
class Watch:
    """Counts the nodes that have begun and those that have ended."""

    begun: int = 0
    ended: int = 0
    cleanup: int = 5
    """Turns of the event loop that a node takes to end when it is cancelled."""

    async def sleep(self, state: Any) -> None:
        """Be a node that only ends when it is cancelled."""
        self.begun += 1
        try:
            get_stream_writer()(("begun", self.begun))
            await asyncio.sleep(FOREVER)
        finally:
            await turns(self.cleanup)
            self.ended += 1


@dataclass
class Situation:
    """A graph, and what is running when the stream is left."""

    graph: Any
    watch: Watch
    running: int
    config: dict[str, Any] = field(default_factory=dict)


def graph_of(*, saver: Any = None, **nodes: Any) -> Any:
    """Compile a graph that runs all these nodes at once."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        action, options = node if isinstance(node, tuple) else (node, {})
        builder.add_node(name, action, **options)
        builder.add_edge(START, name)
    return builder.compile(checkpointer=saver)


def fan_out(action: Any, count: int, *, timeout: float | None = None) -> Any:
    builder = StateGraph(State)
    builder.add_node("worker", action)
    builder.add_conditional_edges(
        START, lambda state: [Send("worker", {"x": n}, timeout=timeout) for n in range(count)]
    )
    return builder.compile()


def in_node(watch: Watch) -> Situation:
    return Situation(graph_of(a=watch.sleep), watch, 1)


def in_siblings(watch: Watch) -> Situation:
    return Situation(graph_of(a=watch.sleep, b=watch.sleep, c=watch.sleep), watch, 3)


def in_subgraph(watch: Watch) -> Situation:
    return Situation(graph_of(sub=graph_of(a=watch.sleep)), watch, 1)


def three_deep(watch: Watch) -> Situation:
    """Graphs awaited, streamed and used as nodes, each with a sibling, three levels down."""
    third = graph_of(a=watch.sleep, b=watch.sleep)

    async def call(state: State) -> None:
        await third.ainvoke({"x": 1})

    second = graph_of(call=call, a=watch.sleep)

    async def read(state: State) -> None:
        async for _ in second.astream({"x": 1}):
            pass

    return Situation(graph_of(read=read, sub=second, a=watch.sleep), watch, 7)


def in_fan_out(watch: Watch) -> Situation:
    return Situation(fan_out(watch.sleep, 50), watch, 50)


def in_queue(watch: Watch) -> Situation:
    return Situation(fan_out(watch.sleep, 50), watch, 3, {"max_concurrency": 3})


def in_nested_fan_out(watch: Watch) -> Situation:
    return Situation(graph_of(sub=fan_out(watch.sleep, 20), a=watch.sleep), watch, 21)


def in_timed_attempt(watch: Watch) -> Situation:
    policy = TimeoutPolicy(run_timeout=FOREVER, idle_timeout=FOREVER)
    return Situation(graph_of(a=(watch.sleep, {"timeout": policy})), watch, 1)


def in_timed_sends(watch: Watch) -> Situation:
    return Situation(fan_out(watch.sleep, 10, timeout=FOREVER), watch, 10)


def between_retries(watch: Watch) -> Situation:
    async def fail(state: State) -> None:
        watch.begun += 1
        watch.ended += 1
        get_stream_writer()(("begun", watch.begun))
        raise ConnectionError("try again")

    policy = RetryPolicy(initial_interval=FOREVER, jitter=False)
    return Situation(graph_of(a=(fail, {"retry_policy": policy})), watch, 1)


def in_handler(watch: Watch) -> Situation:
    async def fail(state: State) -> None:
        raise ValueError("handled")

    return Situation(graph_of(a=(fail, {"error_handler": watch.sleep})), watch, 1)


def in_generator(watch: Watch) -> Situation:
    async def node(state: State) -> Any:
        yield {"log": ["first"]}
        await watch.sleep(state)

    return Situation(graph_of(a=node), watch, 1)


def in_step_timeout(watch: Watch) -> Situation:
    situation = in_siblings(watch)
    situation.graph.step_timeout = FOREVER
    return situation


def with_saver(watch: Watch) -> Situation:
    child = graph_of(a=watch.sleep)
    graph = graph_of(saver=InMemorySaver(), sub=child, a=watch.sleep)
    return Situation(graph, watch, 2, {"configurable": {"thread_id": "1"}})


def in_task_calls(watch: Watch) -> Situation:
    """Tasks that are awaited, called by a task, and never awaited."""

    @task
    async def sleep() -> None:
        await watch.sleep(None)

    @task
    async def call() -> None:
        await asyncio.gather(sleep(), sleep())

    @entrypoint()
    async def work(x: Any) -> None:
        sleep()
        await asyncio.gather(call(), sleep())

    return Situation(work, watch, 4)


def in_task_called_by_node(watch: Watch) -> Situation:
    child = graph_of(a=watch.sleep)

    @task
    async def call() -> None:
        await child.ainvoke({"x": 1})

    async def node(state: State) -> None:
        await call()

    return Situation(graph_of(a=node, b=watch.sleep), watch, 2)


def in_queued_task_calls(watch: Watch) -> Situation:
    @task
    async def sleep() -> None:
        await watch.sleep(None)

    @entrypoint(checkpointer=InMemorySaver())
    async def work(x: Any) -> None:
        await asyncio.gather(*[sleep() for _ in range(50)])

    config = {"configurable": {"thread_id": "1"}, "max_concurrency": 3}
    return Situation(work, watch, 3, config)


SITUATIONS = [
    in_node,
    in_siblings,
    in_subgraph,
    three_deep,
    in_fan_out,
    in_queue,
    in_nested_fan_out,
    in_timed_attempt,
    in_timed_sends,
    between_retries,
    in_handler,
    in_generator,
    in_step_timeout,
    with_saver,
    in_task_calls,
    in_task_called_by_node,
    in_queued_task_calls,
]


async def turns(count: int) -> None:
    """Let other tasks run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(happened: Callable[[], bool]) -> None:
    """Let other tasks run until something has happened."""
    while not happened():  # noqa: ASYNC110  # what is waited for has no event of its own
        await asyncio.sleep(0)


# -- ways to leave a stream -----------------------------------------------------------------------

Leave = Callable[[Situation], Awaitable[list[Any]]]


def open_stream(situation: Situation) -> Any:
    return situation.graph.astream({"x": 1}, situation.config, stream_mode="custom", subgraphs=True)


async def by_closing(situation: Situation) -> list[Any]:
    items: list[Any] = []
    async with aclosing(open_stream(situation)) as stream:
        async for item in stream:
            items.append(item)
            if len(items) == situation.running:
                break
    return items


async def by_breaking(situation: Situation) -> list[Any]:
    """The event loop closes a stream that nobody refers to, soon after."""
    items: list[Any] = []
    async for item in open_stream(situation):
        items.append(item)
        if len(items) == situation.running:
            break
    gc.collect(1)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    return items


async def by_raising(situation: Situation) -> list[Any]:
    items: list[Any] = []
    with pytest.raises(LookupError):  # noqa: PT012  # the loop is what raises
        async with aclosing(open_stream(situation)) as stream:
            async for item in stream:
                items.append(item)
                if len(items) == situation.running:
                    raise LookupError("the consumer's own")
    return items


async def by_cancelling(situation: Situation) -> list[Any]:
    items: list[Any] = []

    async def read() -> None:
        async for item in open_stream(situation):
            items.append(item)

    reader = asyncio.create_task(read())
    await until(lambda: len(items) == situation.running)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    return items


async def by_cancelling_twice(situation: Situation) -> list[Any]:
    """A second cancellation, while nodes clean up, does not abandon them."""
    situation.watch.cleanup = 50
    items: list[Any] = []

    async def read() -> None:
        async for item in open_stream(situation):
            items.append(item)

    reader = asyncio.create_task(read())
    await until(lambda: len(items) == situation.running)
    reader.cancel()
    await turns(10)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    return items


async def by_time(situation: Situation) -> list[Any]:
    items: list[Any] = []
    all_begun = asyncio.Event()

    async def read() -> None:
        async for item in open_stream(situation):
            items.append(item)
            if len(items) == situation.running:
                all_begun.set()

    reading = asyncio.create_task(read())
    await all_begun.wait()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reading, 0.05)
    return items


WAYS: list[Leave] = [
    by_closing,
    by_breaking,
    by_raising,
    by_cancelling,
    by_cancelling_twice,
    by_time,
]


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run in an event loop; fail if a task is left or if anything complains to the loop."""
    complaints: list[Any] = []

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        result = await work()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gc.collect(1)
        await asyncio.sleep(0)
        return result

    result = asyncio.run(main())
    assert complaints == []
    return result
