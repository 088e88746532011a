"""Timeouts of nodes and their handlers: what they limit, and what counts as a sign of life."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, adispatch_custom_event
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from drivers.small import State, astream, fail, graph_of, say, with_handler
from millstream.config import get_stream_writer, get_task_context
from millstream.drivers.heartbeats import Heartbeats
from millstream.errors import NodeError, NodeTimeoutError
from millstream.func import task
from millstream.graph import START, StateGraph
from millstream.prebuilt import ToolNode
from millstream.runtime import Runtime
from millstream.types import RetryPolicy, Send, StreamWriter, TimeoutPolicy

pytestmark = pytest.mark.timeout(20)

AT_ONCE = RetryPolicy(initial_interval=0, jitter=False)


# A handler is that of one node, or the one of all nodes.
either = pytest.mark.parametrize("is_default", [False, True], ids=["own", "default"])


@pytest.mark.usefixtures("fake_clock")
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
        RunnablePassthrough.assign(log=SYNC),
        RunnableBranch((bool, ASYNC), SYNC),
    ],
    ids=[
        *("function", "class", "bound", "retried", "each", "first", "last", "beside", "parallel"),
        *("fallback", "dict", "assign", "branch"),
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
        RunnablePassthrough.assign(log=ASYNC),
        RunnableBranch((bool, ASYNC), ASYNC),
    ],
    ids=lambda runnable: type(runnable).__name__,
)
def test_a_timeout_of_an_async_runnable_is_accepted(runnable: Any) -> None:
    graph_of(runnable, timeout=1)


@pytest.mark.usefixtures("fake_clock")
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


@pytest.mark.usefixtures("fake_clock")
@pytest.mark.parametrize("limit", [0.1, 0.2, 0.3, 0.4, 0.5])
def test_a_run_timeout_is_one_however_its_end_is_rounded(limit: float) -> None:
    async def node(state: State) -> None:
        await asyncio.sleep(60)

    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(graph_of(node, timeout=limit).ainvoke({"x": 1}))

    assert (caught.value.kind, caught.value.run_timeout) == ("run", limit)


def idle(signal: Callable[[Runtime[Any]], None], **options: Any) -> Any:
    """Return a graph whose node works for half a second and gives a sign every 0.02."""

    async def node(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        for _ in range(25):
            await asyncio.sleep(0.02)
            signal(runtime)
        return {"log": ["done"]}

    return graph_of(node, timeout=TimeoutPolicy(idle_timeout=0.4, **options))


@pytest.mark.usefixtures("fake_clock")
@pytest.mark.parametrize("refresh_on", ["auto", "heartbeat"])
def test_heartbeats_keep_an_idle_timeout_away(refresh_on: Any) -> None:
    graph = idle(lambda runtime: runtime.heartbeat(), refresh_on=refresh_on)

    assert asyncio.run(graph.ainvoke({"x": 1}))["log"] == ["done"]


@pytest.mark.usefixtures("fake_clock")
def test_custom_items_keep_an_idle_timeout_away() -> None:
    graph = idle(lambda runtime: runtime.stream_writer("working"))

    items = astream(graph, {"x": 1}, stream_mode=["custom", "updates"])

    assert items == [("custom", "working")] * 25 + [("updates", {"node": {"log": ["done"]}})]


@pytest.mark.usefixtures("fake_clock")
def test_custom_items_nobody_asked_for_keep_an_idle_timeout_away() -> None:
    graph = idle(lambda runtime: runtime.stream_writer("working"))

    assert asyncio.run(graph.ainvoke({"x": 1}))["log"] == ["done"]


@pytest.mark.usefixtures("fake_clock")
def test_callback_events_keep_an_idle_timeout_away() -> None:
    graph = idle(lambda runtime: RunnableLambda(str).invoke(1))

    assert asyncio.run(graph.ainvoke({"x": 1}))["log"] == ["done"]


# -- signs of life --------------------------------------------------------------------------------


@task
async def atask(x: int) -> int:
    return x


@task
def stask(x: int) -> int:
    return x


@task
async def writing_task(x: int) -> None:
    get_stream_writer()(x)


@tool
async def atool(x: int) -> int:
    """Do nothing."""
    return x


async def in_a_child(action: Any, config: Any = None, **options: Any) -> None:
    await graph_of(action, **options).ainvoke({"x": 1}, config)


def write(state: State) -> None:
    get_stream_writer()("item")


async def beat(state: State, runtime: Runtime[Any]) -> None:
    runtime.heartbeat()


async def hear(state: State) -> None:
    async for _ in FakeListChatModel(responses=["ab"]).astream("?"):
        pass


async def idle_away(state: State) -> None:
    await asyncio.sleep(0)


async def of_own_thread(state: State) -> None:
    """Call a graph that keeps its own thread, and so is no part of this run."""
    child = graph_of(hear, compile_with={"checkpointer": InMemorySaver()})
    await child.ainvoke({"x": 1}, {"configurable": {"thread_id": "own"}})


async def streaming_a_child(state: State) -> None:
    async for _ in graph_of(write).astream({"x": 1}, stream_mode="custom"):
        pass


async def in_two_children(state: State) -> None:
    await in_a_child(lambda state: graph_of(write))


async def in_a_child_with_a_timeout(state: State) -> None:
    policy = TimeoutPolicy(run_timeout=20, idle_timeout=20, refresh_on="heartbeat")
    await in_a_child(hear, timeout=policy)


async def with_the_config(state: State, config: RunnableConfig) -> None:
    await in_a_child(hear, config)


SIGNS: dict[str, Any] = {
    "tokens": hear,
    "runnable": lambda state: ASYNC.ainvoke(state),
    "sequence": lambda state: (ASYNC | RunnableLambda(str)).ainvoke(state),
    "runnable in a thread": lambda state: RunnableLambda(str).ainvoke(1),
    "tool": lambda state: atool.ainvoke({"x": 1}),
    "custom event": lambda state: adispatch_custom_event("event", 1),
    "writer": lambda state: asyncio.to_thread(write, state),
    "task": lambda state: atask(1),
    "task in a thread": lambda state: stask(1),
    "task that writes": lambda state: writing_task(1),
    "graph": lambda state: in_a_child(say),
    "graph in a thread": lambda state: asyncio.to_thread(graph_of(say).invoke, {"x": 1}),
    "graph with its config": with_the_config,
    "graph of another thread": of_own_thread,
    "graph that is streamed": streaming_a_child,
    "tokens in a graph": lambda state: in_a_child(hear),
    "writer in a graph": lambda state: in_a_child(write),
    "graph in a graph": in_two_children,
    "timeout in a graph": in_a_child_with_a_timeout,
    "heartbeat in a graph": lambda state: in_a_child(beat),
}


def watched(act: Any, refresh_on: Any = "auto") -> tuple[Any, list[bool]]:
    """Return a graph whose node notes whether something is a sign of life."""
    seen: list[bool] = []

    async def node(state: State, config: RunnableConfig) -> None:
        watch = get_task_context().heartbeats
        assert watch is not None
        watch.last = float("-inf")
        takes_config = "config" in inspect.signature(act).parameters
        await (act(state, config) if takes_config else act(state))
        seen.append(watch.last > float("-inf"))

    policy = TimeoutPolicy(idle_timeout=60, refresh_on=refresh_on)
    return graph_of(node, timeout=policy), seen


@pytest.mark.parametrize("is_traced", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_of_life_is_heard(name: str, is_traced: bool) -> None:
    graph, seen = watched(SIGNS[name])
    callbacks = [BaseCallbackHandler()] if is_traced else []

    asyncio.run(graph.ainvoke({"x": 1}, {"callbacks": callbacks}))

    assert seen == [True]


@pytest.mark.parametrize("name", SIGNS)
def test_nothing_but_a_heartbeat_counts_if_the_policy_says_so(name: str) -> None:
    graph, seen = watched(SIGNS[name], "heartbeat")

    asyncio.run(graph.ainvoke({"x": 1}))

    assert seen == [name == "heartbeat in a graph"]


def test_waiting_is_no_sign_of_life() -> None:
    graph, seen = watched(idle_away)

    asyncio.run(graph.ainvoke({"x": 1}))

    assert seen == [False]


def test_a_watched_node_streams_like_any_other() -> None:
    async def streamed(graph: Any) -> Any:
        messages = graph.astream({"x": 1}, stream_mode="messages", subgraphs=True)
        events = graph.astream_events({"x": 1}, version="v2")
        run = await graph.astream_events({"x": 1}, version="v3")
        await run.output()
        return (
            [message.content async for _, (message, _) in messages],
            [event["event"] async for event in events],
        )

    async def node(state: State) -> None:
        await in_a_child(hear)

    graph, seen = watched(SIGNS["tokens in a graph"])

    assert asyncio.run(streamed(graph)) == asyncio.run(streamed(graph_of(node)))
    assert seen == [True] * 3


@pytest.mark.parametrize("action", [graph_of(hear), ASYNC | RunnableLambda(asay)])
def test_what_a_node_is_gives_signs_itself(action: Any, monkeypatch: Any) -> None:
    noted: list[bool] = []
    monkeypatch.setattr(Heartbeats, "record_event", lambda watch: noted.append(True))

    asyncio.run(graph_of(action, timeout=TimeoutPolicy(idle_timeout=60)).ainvoke({"x": 1}))

    assert noted


@pytest.mark.usefixtures("fake_clock")
def test_only_heartbeats_count_when_the_policy_says_so() -> None:
    graph = idle(lambda runtime: runtime.stream_writer("working"), refresh_on="heartbeat")

    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(graph.ainvoke({"x": 1}))

    assert (caught.value.kind, caught.value.idle_timeout) == ("idle", 0.4)


@pytest.mark.usefixtures("fake_clock")
def test_a_silent_node_runs_into_its_idle_timeout() -> None:
    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(idle(lambda runtime: None).ainvoke({"x": 1}))

    assert caught.value.kind == "idle"


def test_a_heartbeat_without_idle_timeout_does_nothing(driver: Any) -> None:
    def node(state: State, runtime: Runtime[Any]) -> None:
        runtime.heartbeat()

    assert driver.invoke(graph_of(node), {"x": 1}) == {"x": 1, "log": []}


@pytest.mark.usefixtures("fake_clock")
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


@pytest.mark.usefixtures("fake_clock")
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
