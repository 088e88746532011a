"""Timeouts of nodes and their handlers: what they limit, and what counts as a sign of life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel

from drivers.small import State, astream, fail, graph_of, say, with_handler
from millstream.config import get_stream_writer
from millstream.errors import NodeError, NodeTimeoutError
from millstream.graph import START, StateGraph
from millstream.prebuilt import ToolNode
from millstream.runtime import Runtime
from millstream.types import RetryPolicy, Send, StreamWriter, TimeoutPolicy

pytestmark = pytest.mark.timeout(20)

AT_ONCE = RetryPolicy(initial_interval=0, jitter=False)


# A handler is that of one node, or the one of all nodes.
either = pytest.mark.parametrize("is_default", [False, True], ids=["own", "default"])


@either
def test_the_default_timeout_is_for_handlers_too(is_default: bool) -> None:
    async def handle(state: State) -> None:
        await asyncio.sleep(20)

    async def afail(state: State) -> None:
        fail(state)

    builder = StateGraph(State).set_node_defaults(timeout=0.05)
    graph = with_handler(builder, afail, handle, is_default=is_default)

    with pytest.raises(NodeTimeoutError, match=r"error_handler.* exceeded its run timeout"):
        asyncio.run(graph.ainvoke({"x": 1}))


@either
def test_a_default_timeout_refuses_a_sync_handler(is_default: bool) -> None:
    async def afail(state: State) -> None:
        fail(state)

    builder = StateGraph(State).set_node_defaults(timeout=1)

    with pytest.raises(ValueError, match=r"error_handler.* is sync"):
        with_handler(builder, afail, say, is_default=is_default)


class SyncRunnable(Runnable[Any, Any]):
    """A runnable that is awaited in a thread."""

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return None


class AsyncRunnable(SyncRunnable):
    """A runnable with async code of its own."""

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return None


async def asay(state: Any) -> dict[str, Any]:
    return say(state)


SYNC, ASYNC = RunnableLambda(say), RunnableLambda(asay)


@pytest.mark.parametrize(
    "runnable",
    [
        SYNC,
        SyncRunnable(),
        SYNC.with_config(tags=["tag"]),
        SYNC.with_retry(),
        SYNC.map(),
        SYNC | ASYNC,
        ASYNC | SYNC,
        ASYNC | {"log": SYNC},
        RunnableParallel(log=SYNC),
        SYNC.with_fallbacks([SYNC]),
        {"log": say},
    ],
    ids=[
        *("function", "class", "bound", "retried", "each", "first", "last", "beside", "parallel"),
        *("fallback", "dict"),
    ],
)
def test_a_timeout_of_a_sync_runnable_is_refused(runnable: Any) -> None:
    with pytest.raises(ValueError, match="Node 'node' is sync"):
        graph_of(runnable, timeout=1)


@pytest.mark.parametrize(
    "runnable",
    [
        ASYNC,
        RunnableLambda(say, afunc=asay),
        AsyncRunnable(),
        ASYNC.with_config(tags=["tag"]),
        ASYNC.with_retry(),
        ASYNC | ASYNC,
        RunnableParallel(log=ASYNC),
        SYNC.with_fallbacks([ASYNC]),
        graph_of(say),
        graph_of(say).with_config(tags=["tag"]),
        ToolNode([]),
    ],
    ids=lambda runnable: type(runnable).__name__,
)
def test_a_timeout_of_an_async_runnable_is_accepted(runnable: Any) -> None:
    graph_of(runnable, timeout=1)


@pytest.mark.parametrize("limit", [0.05, timedelta(seconds=0.05), TimeoutPolicy(run_timeout=0.05)])
def test_an_attempt_that_takes_too_long_is_cancelled(limit: Any) -> None:
    ended: list[int] = []

    async def node(state: State) -> None:
        get_stream_writer()("begun")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    async def run() -> list[Any]:
        items = []
        with pytest.raises(NodeTimeoutError) as caught:  # noqa: PT012  # the loop is what raises
            async for item in graph_of(node, timeout=limit).astream({"x": 1}, stream_mode="custom"):
                items.append(item)
        assert (caught.value.node, caught.value.kind) == ("node", "run")
        assert caught.value.run_timeout == 0.05
        assert ended == [1]
        return items

    assert asyncio.run(run()) == ["begun"]


def idle(signal: Callable[[Runtime[Any]], None], **options: Any) -> Any:
    """Return a graph whose node works for half a second and gives a sign every 0.02."""

    async def node(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        for _ in range(25):
            await asyncio.sleep(0.02)
            signal(runtime)
        return {"log": ["done"]}

    return graph_of(node, timeout=TimeoutPolicy(idle_timeout=0.4, **options))


@pytest.mark.parametrize("refresh_on", ["auto", "heartbeat"])
def test_heartbeats_keep_an_idle_timeout_away(refresh_on: Any) -> None:
    graph = idle(lambda runtime: runtime.heartbeat(), refresh_on=refresh_on)

    assert asyncio.run(graph.ainvoke({"x": 1}))["log"] == ["done"]


def test_custom_items_keep_an_idle_timeout_away() -> None:
    graph = idle(lambda runtime: runtime.stream_writer("working"))

    items = astream(graph, {"x": 1}, stream_mode=["custom", "updates"])

    assert items == [("custom", "working")] * 25 + [("updates", {"node": {"log": ["done"]}})]


def test_custom_items_nobody_asked_for_keep_an_idle_timeout_away() -> None:
    graph = idle(lambda runtime: runtime.stream_writer("working"))

    assert asyncio.run(graph.ainvoke({"x": 1}))["log"] == ["done"]


def test_only_heartbeats_count_when_the_policy_says_so() -> None:
    graph = idle(lambda runtime: runtime.stream_writer("working"), refresh_on="heartbeat")

    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(graph.ainvoke({"x": 1}))

    assert (caught.value.kind, caught.value.idle_timeout) == ("idle", 0.4)


def test_a_silent_node_runs_into_its_idle_timeout() -> None:
    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(idle(lambda runtime: None).ainvoke({"x": 1}))

    assert caught.value.kind == "idle"


def test_a_heartbeat_without_idle_timeout_does_nothing(driver: Any) -> None:
    def node(state: State, runtime: Runtime[Any]) -> None:
        runtime.heartbeat()

    assert driver.invoke(graph_of(node), {"x": 1}) == {"x": 1, "log": []}


def test_a_timed_out_attempt_is_tried_again_and_its_late_items_are_dropped() -> None:
    late: list[StreamWriter] = []

    async def node(state: State, writer: StreamWriter) -> dict[str, Any]:
        late.append(writer)
        writer(f"attempt {len(late)}")
        if len(late) == 1:
            try:
                await asyncio.sleep(60)
            finally:
                writer("too late")
        late[0]("much too late")
        return {"log": [len(late)]}

    graph = graph_of(node, timeout=0.15, retry_policy=AT_ONCE)

    assert astream(graph, {"x": 1}, stream_mode=["custom", "updates"]) == [
        ("custom", "attempt 1"),
        ("custom", "attempt 2"),
        ("updates", {"node": {"log": [2]}}),
    ]


def test_each_send_can_have_a_timeout_of_its_own() -> None:
    async def worker(state: State) -> dict[str, Any]:
        await asyncio.sleep((0, 60, 0.3)[state["x"]])
        return {"log": [state["x"]]}

    def handle(state: State, error: NodeError) -> dict[str, Any]:
        return {"log": [type(error.error)]}

    builder = StateGraph(State).add_node(worker, error_handler=handle)
    builder.add_conditional_edges(
        START,
        lambda state: [
            Send("worker", {"x": 0}, timeout=0.2),
            Send("worker", {"x": 1}, timeout=0.2),
            Send("worker", {"x": 2}, timeout=5),
        ],
    )

    result = asyncio.run(builder.compile().ainvoke({"x": 9}))

    assert sorted(map(str, result["log"])) == sorted(map(str, [0, NodeTimeoutError, 2]))
