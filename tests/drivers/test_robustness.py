"""Rare moments that must not cost a cancellation, an event, a result or a whole process."""

from __future__ import annotations

import asyncio
import operator
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.errors import NodeCancelledError
from millstream.graph import START, StateGraph
from millstream.types import CachePolicy, RetryPolicy, Send

pytestmark = pytest.mark.timeout(30)


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


THREAD: Any = {"configurable": {"thread_id": "1"}}


def fan(nodes: Sequence[tuple[str, Any]], **kwargs: Any) -> Any:
    """Compile a graph that runs these nodes at once."""
    builder = StateGraph(State)
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(START, name)
    return builder.compile(**kwargs)


def one(node: Any, **kwargs: Any) -> Any:
    """Compile a graph of one node."""
    return fan([("node", node)], **kwargs)


@pytest.mark.usefixtures("fake_clock")
def test_a_step_timeout_does_not_swallow_a_cancellation() -> None:
    """A run that is cancelled in the moment in which a node ends is cancelled all the same."""

    async def cancelled_after(turns: int) -> bool:
        go, started = asyncio.Event(), asyncio.Event()

        async def waits(state: State) -> dict[str, Any]:
            started.set()
            await go.wait()
            return {"log": ["waited"]}

        builder = StateGraph(State).add_sequence([("first", waits), ("second", sleeps)])
        graph = builder.add_edge(START, "first").compile()
        graph.step_timeout = 5
        run = asyncio.create_task(graph.ainvoke({"x": 1}))
        await started.wait()
        go.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.wait([run])
        return run.cancelled()

    async def sleeps(state: State) -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"log": ["slept"]}

    async def main() -> list[bool]:
        return [await cancelled_after(turns) for turns in range(5)]

    assert asyncio.run(main()) == [True] * 5


def test_the_end_of_the_event_loop_stores_what_nodes_left_behind() -> None:
    """`asyncio.run` cancels every task, the one that stores checkpoints included."""

    class Plain(InMemorySaver):
        """Not known to store at once, so that a task stores behind the run's back."""

        async def aput(self, *args: Any) -> Any:
            return await super().aput(*args)

    saver, begun = Plain(), list[int]()

    def node(index: int) -> Any:
        async def call(state: State) -> dict[str, Any]:
            begun.append(index)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return {"log": [index]}
            raise AssertionError("nobody cancelled the node")

        return call

    graph = fan([(f"n{i}", node(i)) for i in range(20)], checkpointer=saver)

    async def main() -> None:
        run = asyncio.create_task(graph.ainvoke({"x": 1}, THREAD))
        while len(begun) < 20:  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0)
        assert not run.done()

    asyncio.run(main())

    assert sorted(graph.get_state(THREAD).values["log"]) == list(range(20))


EAGER = pytest.mark.skipif(sys.version_info < (3, 12), reason="Python < 3.12 has no eager tasks")


def eagerly(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run something in an event loop whose tasks are eager."""

    async def main() -> Any:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await work()

    return asyncio.run(main())


@EAGER
def test_eager_tasks_run_graphs() -> None:
    """A node may have ended before the call that starts its task returns."""

    async def at_once(state: State) -> dict[str, Any]:
        return {"log": ["at once"]}

    async def later(state: State) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"log": ["later"]}

    graph = fan([("a", at_once), ("b", later)])

    assert eagerly(lambda: graph.ainvoke({"x": 1})) == {"x": 1, "log": ["at once", "later"]}


def test_closing_a_sync_stream_keeps_the_results_of_running_nodes() -> None:
    """The stream waits for them, so what they wrote is stored."""
    saver, begun, may_end = InMemorySaver(), threading.Event(), threading.Event()

    def quick(state: State) -> dict[str, Any]:
        return {"log": ["quick"]}

    def slow(state: State) -> dict[str, Any]:
        begun.set()
        assert may_end.wait(5)
        return {"log": ["slow"]}

    graph = fan([("quick", quick), ("slow", slow)], checkpointer=saver)
    stream = graph.stream({"x": 1}, THREAD, stream_mode="updates", durability="sync")
    assert next(stream) == {"quick": {"log": ["quick"]}}

    assert begun.wait(5)

    threading.Timer(0.05, may_end.set).start()
    stream.close()

    assert graph.get_state(THREAD).values["log"] == ["quick", "slow"]


@pytest.mark.usefixtures("fake_clock")
def test_a_graph_started_in_the_background_outlives_its_node() -> None:
    """Only a cancelled task takes the graphs it called with it."""

    async def slow(state: State) -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"log": ["child"]}

    child = StateGraph(State).add_sequence([("first", slow), ("second", slow)])
    background = child.add_edge(START, "first").compile()
    started: list[asyncio.Task[Any]] = []

    async def starts(state: State) -> dict[str, Any]:
        started.append(asyncio.create_task(background.ainvoke({"x": 2})))
        return {"log": ["parent"]}

    async def main() -> Any:
        result = await one(starts).ainvoke({"x": 1})
        return result, await started[0]

    result, nested = asyncio.run(main())

    assert result == {"x": 1, "log": ["parent"]}
    assert nested == {"x": 2, "log": ["child", "child"]}


def test_a_node_that_changes_its_input_is_found_in_the_cache(driver: Any) -> None:
    """The key is that of the input the node was given."""
    calls: list[int] = []

    def changes(state: State) -> dict[str, Any]:
        calls.append(1)
        state["x"] = 99
        return {"log": ["called"]}

    builder = StateGraph(State).add_node("node", changes, cache_policy=CachePolicy())
    graph = builder.add_edge(START, "node").compile(cache=InMemoryCache())

    results = [driver.invoke(graph, {"x": 1}) for _ in range(2)]

    assert results == [{"x": 1, "log": ["called"]}] * 2
    assert calls == [1]


class BrokenCache(InMemoryCache[Any]):
    """A cache that cannot be written."""

    def set(self, pairs: Any) -> None:
        raise ConnectionError("cache down")

    async def aset(self, pairs: Any) -> None:
        raise ConnectionError("cache down")


def test_a_failing_cache_does_not_run_a_node_again(driver: Any) -> None:
    """The node has succeeded: its retry policy is not about the cache."""
    calls: list[int] = []

    def node(state: State) -> dict[str, Any]:
        calls.append(1)
        return {}

    policy = RetryPolicy(initial_interval=0.001, jitter=False)
    builder = StateGraph(State).add_node(
        "node", node, cache_policy=CachePolicy(), retry_policy=policy
    )
    graph = builder.add_edge(START, "node").compile(cache=BrokenCache())

    with pytest.raises(ConnectionError, match="cache down"):
        driver.invoke(graph, {"x": 1})

    assert calls == [1]


def test_the_graphs_default_mode_is_live_too() -> None:
    """A graph whose own stream mode is custom hands items out while its node runs."""
    may_end = threading.Event()

    def node(state: State) -> dict[str, Any]:
        get_stream_writer()("now")
        assert may_end.wait(5)
        return {}

    graph = one(node)
    graph.stream_mode = "custom"
    stream = graph.stream({"x": 1})

    assert next(stream) == "now"
    may_end.set()
    assert list(stream) == []


def test_a_node_that_raises_cancelled_error_fails(driver: Any) -> None:
    """Nobody cancelled the run, so its caller must not see a cancellation."""

    def node(state: State) -> dict[str, Any]:
        raise asyncio.CancelledError("mine")

    with pytest.raises(NodeCancelledError, match="'node'"):
        driver.invoke(one(node), {"x": 1})


def test_a_breakpoint_string_is_not_searched_for_names(driver: Any) -> None:
    """`"ab"` is neither node `a` nor node `b`."""
    graph = fan([("a", lambda state: {"log": ["a"]})])

    assert driver.invoke(graph, {"x": 1}, interrupt_before="ab") == {"x": 1, "log": ["a"]}


@EAGER
def test_many_eager_tasks_take_turns_within_the_limit() -> None:
    """However many there are: none waits within another, and none is lost."""

    async def at_once(state: State) -> dict[str, Any]:
        return {"log": [state["x"]]}

    builder = StateGraph(State).add_node("work", at_once)
    builder.add_conditional_edges(
        START, lambda state: [Send("work", {"x": index}) for index in range(1500)], ["work"]
    )
    graph = builder.compile()

    result = eagerly(lambda: graph.ainvoke({"x": 0}, {"max_concurrency": 2}))

    assert result["log"] == list(range(1500))


@EAGER
def test_eager_tasks_that_never_wait_give_others_a_turn() -> None:
    """A chain of them is no reason for the event loop to stand still."""
    turns = 0

    async def at_once(state: State) -> dict[str, Any]:
        return {"log": [turns]}

    async def watch() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> Any:
        watching = asyncio.create_task(watch())
        builder = StateGraph(State).add_sequence([(f"n{index}", at_once) for index in range(5)])
        result = await builder.add_edge(START, "n0").compile().ainvoke({"x": 1})
        watching.cancel()
        return result["log"]

    seen = eagerly(main)

    assert seen == sorted(set(seen))
