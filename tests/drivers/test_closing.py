"""What a run leaves behind when it ends, fails or is left early: no thread, no task, no node."""

from __future__ import annotations

import asyncio
import gc
import operator
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy, Send, StreamWriter

pytestmark = [
    pytest.mark.timeout(20),
    pytest.mark.real_time(reason="nodes are busy for a moment while their stream is closed"),
]


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def at_once(*, saver: Any = None, **nodes: Any) -> Any:
    """Compile a graph that runs all these nodes at once."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        action, options = node if isinstance(node, tuple) else (node, {})
        builder.add_node(name, action, **options)
        builder.add_edge(START, name)
    return builder.compile(checkpointer=saver)


class Slow:
    """A node that says when it begins, and counts beginnings and ends."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds
        self.begun: list[int] = []
        self.ended: list[int] = []

    def __call__(self, state: State, writer: StreamWriter) -> None:
        self.begun.append(1)
        try:
            writer("begun")
            time.sleep(self.seconds)
        finally:
            self.ended.append(1)


LIVE = {"stream_mode": "custom", "subgraphs": True}


def slow_graphs() -> list[Any]:
    def alone(slow: Slow) -> Any:
        return at_once(a=slow)

    def siblings(slow: Slow) -> Any:
        return at_once(a=slow, b=slow, c=slow)

    def nested(slow: Slow) -> Any:
        return at_once(sub=at_once(sub=at_once(a=slow, b=slow)))

    def called(slow: Slow) -> Any:
        child = at_once(a=slow, b=slow)
        return at_once(call=lambda state: child.invoke({"x": 1}) and None, a=slow)

    def saved(slow: Slow) -> Any:
        return at_once(saver=InMemorySaver(), a=slow, b=slow)

    return [alone, siblings, nested, called, saved]


@pytest.mark.parametrize("make", slow_graphs())
def test_closing_a_sync_stream_waits_for_the_running_nodes(make: Any) -> None:
    slow = Slow()
    stream = make(slow).stream({"x": 1}, {"configurable": {"thread_id": "1"}}, **LIVE)

    item = next(stream)
    stream.close()

    assert item[1] == "begun"
    assert slow.ended == slow.begun != []


def test_dropping_a_sync_stream_waits_for_the_running_nodes() -> None:
    slow = Slow()

    for _ in at_once(a=slow, b=slow).stream({"x": 1}, stream_mode="custom"):
        break
    gc.collect(1)

    assert slow.ended == slow.begun != []


def test_a_consumer_that_raises_leaves_nothing_running() -> None:
    slow = Slow()

    with pytest.raises(LookupError):  # noqa: PT012  # the loop is what raises
        for _ in at_once(a=slow, b=slow).stream({"x": 1}, stream_mode="custom"):
            raise LookupError("the consumer's own")

    assert slow.ended == slow.begun != []


def test_closing_does_not_start_queued_tasks() -> None:
    slow = Slow(0.02)
    builder = StateGraph(State).add_node("worker", slow)
    builder.add_conditional_edges(START, lambda s: [Send("worker", {"x": n}) for n in range(50)])
    stream = builder.compile().stream({"x": 1}, {"max_concurrency": 2}, stream_mode="custom")

    next(stream)
    stream.close()

    assert len(slow.ended) <= 4


def test_closing_while_a_node_waits_to_be_retried_does_not_try_again() -> None:
    attempts: list[int] = []

    def fail(state: State, writer: StreamWriter) -> None:
        attempts.append(1)
        writer("attempt")
        raise ConnectionError("try again")

    policy = RetryPolicy(initial_interval=0.2, jitter=False, max_attempts=5)
    stream = at_once(a=(fail, {"retry_policy": policy})).stream({"x": 1}, stream_mode="custom")

    next(stream)
    stream.close()

    assert len(attempts) == 1


@pytest.mark.parametrize("is_called", [False, True], ids=["as node", "called"])
def test_closing_stops_nested_graphs_at_their_next_superstep(is_called: bool) -> None:
    ran: list[str] = []

    def first(state: State, writer: StreamWriter) -> None:
        ran.append("first")
        # It ends when nobody reads any more, and as if nothing had happened.
        with suppress(BaseException):
            while True:
                writer("busy")
                time.sleep(0.001)

    def second(state: State) -> None:
        ran.append("second")

    builder = StateGraph(State).add_sequence([first, second]).add_edge(START, "first")
    child = at_once(sub=builder.compile())
    graph = at_once(sub=(lambda state: child.invoke(state)) if is_called else child)
    stream = graph.stream({"x": 1}, **LIVE)

    next(stream)
    stream.close()

    assert ran == ["first"]


def test_a_closed_sync_stream_is_at_its_end() -> None:
    ran: list[int] = []
    stream = at_once(a=lambda state: ran.append(1)).stream({"x": 1}, stream_mode="values")

    assert next(stream) == {"x": 1, "log": []}
    stream.close()

    assert list(stream) == []
    assert ran == []


def test_a_run_that_ends_leaves_no_thread(driver: Any) -> None:
    graph = at_once(saver=InMemorySaver(), a=Slow(0), b=Slow(0), sub=at_once(a=Slow(0), b=Slow(0)))

    driver.stream(graph, {"x": 1}, {"configurable": {"thread_id": "1"}}, **LIVE)
    driver.invoke(graph, {"x": 1}, {"configurable": {"thread_id": "2"}})


def test_a_run_that_fails_leaves_no_thread(driver: Any) -> None:
    def fail(state: State) -> None:
        raise ValueError("boom")

    slow = Slow()
    graph = at_once(saver=InMemorySaver(), a=slow, b=at_once(fail=fail))

    with pytest.raises(ValueError, match="boom"):
        driver.stream(graph, {"x": 1}, {"configurable": {"thread_id": "1"}}, **LIVE)

    if driver.name == "sync":
        assert len(slow.ended) == 1


def test_items_emitted_before_a_failure_are_delivered_before_it(driver: Any) -> None:
    def fail(state: State, writer: StreamWriter) -> None:
        writer("before")
        raise ValueError("boom")

    graph = at_once(sub=at_once(a=fail))
    items: list[Any] = []

    async def read() -> None:
        async for item in graph.astream({"x": 1}, **LIVE):
            items.append(item[1])

    with pytest.raises(ValueError, match="boom"):  # noqa: PT012  # one act for both drivers
        if driver.name == "async":
            asyncio.run(read())
        for item in graph.stream({"x": 1}, **LIVE) if driver.name == "sync" else ():
            items.append(item[1])

    assert items == ["before"]


class Stop(BaseException):
    """Neither an error nor a signal of the engine."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Stop])
@pytest.mark.parametrize("siblings", [0, 2], ids=["alone", "siblings"])
@pytest.mark.parametrize("depth", [0, 2], ids=["root", "nested"])
@pytest.mark.parametrize("live", [{}, LIVE], ids=["quiet", "live"])
def test_what_is_not_an_exception_ends_the_run(
    driver: Any, error: type[BaseException], siblings: int, depth: int, live: Any
) -> None:
    handled: list[int] = []

    def stop(state: State) -> None:
        raise error

    options = {
        "retry_policy": RetryPolicy(initial_interval=0, jitter=False),
        "error_handler": lambda state: handled.append(1),
    }
    others = {f"other{n}": lambda state: None for n in range(siblings)}
    graph = at_once(stop=(stop, options), **others)
    for _ in range(depth):
        graph = at_once(sub=graph)

    with pytest.raises(error):
        driver.stream(graph, {"x": 1}, **live)

    assert handled == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_keyboard_interrupt_in_an_async_node_ends_the_run(error: type[BaseException]) -> None:
    ended: list[int] = []
    begun = asyncio.Event()

    async def stop(state: State) -> None:
        await begun.wait()
        raise error

    async def other(state: State) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    async def call() -> Any:
        return await at_once(stop=stop, other=other).ainvoke({"x": 1})

    with pytest.raises(error):
        asyncio.run(call())

    assert ended == [1]


def test_a_graph_can_be_run_again_after_it_was_left() -> None:
    slow = Slow(0.01)
    graph = at_once(a=slow, b=slow)

    for _ in range(3):
        stream = graph.stream({"x": 1}, stream_mode="custom")
        next(stream)
        stream.close()

    assert graph.invoke({"x": 1}) == {"x": 1, "log": []}


def test_one_graph_runs_in_several_threads_at_once() -> None:
    def node(state: State) -> dict[str, Any]:
        time.sleep(0.001)
        return {"log": [state["x"]]}

    graph = at_once(a=node, b=node, sub=at_once(a=node))
    results: dict[int, Any] = {}

    def call(number: int) -> None:
        results[number] = graph.invoke({"x": number})

    workers = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert results == {n: {"x": n, "log": [n, n, n]} for n in range(8)}
