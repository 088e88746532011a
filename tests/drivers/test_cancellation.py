"""Leaving an async run early stops all of it before the call returns, at every depth."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from drivers.leaving import (
    FOREVER,
    SITUATIONS,
    WAYS,
    Leave,
    Situation,
    State,
    Watch,
    graph_of,
    run,
    turns,
    until,
)
from millstream.config import get_stream_writer
from millstream.errors import NodeTimeoutError
from millstream.graph import START, StateGraph

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("situate", SITUATIONS)
@pytest.mark.parametrize("leave", WAYS)
def test_leaving_a_stream_stops_every_node(
    situate: Callable[[Watch], Situation], leave: Leave
) -> None:
    situation = situate(Watch())

    async def work() -> list[Any]:
        items = await leave(situation)
        assert situation.watch.ended == situation.watch.begun == situation.running
        return items

    items = run(work)

    assert [item for _, item in items] == [("begun", n + 1) for n in range(situation.running)]


@pytest.mark.parametrize("situate", SITUATIONS)
def test_cancelling_ainvoke_stops_every_node(situate: Callable[[Watch], Situation]) -> None:
    situation = situate(Watch())

    async def work() -> None:
        call = asyncio.create_task(situation.graph.ainvoke({"x": 1}, situation.config))
        await until(lambda: situation.watch.begun == situation.running)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert situation.watch.ended == situation.watch.begun == situation.running

    run(work)


def test_cancelling_abatch_stops_every_run() -> None:
    watch = Watch()
    graph = graph_of(a=watch.sleep)

    async def work() -> None:
        call = asyncio.create_task(graph.abatch([{"x": n} for n in range(5)]))
        await until(lambda: watch.begun == 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: len(asyncio.all_tasks()) == 1)
        assert watch.ended == 5

    run(work)


@pytest.mark.usefixtures("fake_clock")
def test_a_node_that_gives_up_on_a_nested_graph_stops_it() -> None:
    watch = Watch()
    child = graph_of(sub=graph_of(a=watch.sleep), b=watch.sleep)

    async def impatient(state: State) -> dict[str, Any]:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(child.ainvoke({"x": 1}), 0.05)
        return {"log": [watch.begun, watch.ended, len(asyncio.all_tasks())]}

    async def work() -> Any:
        return await graph_of(impatient=impatient).ainvoke({"x": 1})

    assert run(work) == {"x": 1, "log": [2, 2, 2]}


def test_a_node_that_breaks_out_of_a_nested_stream_leaves_nothing_running() -> None:
    watch = Watch()
    child = graph_of(a=watch.sleep)

    async def node(state: State) -> dict[str, Any]:
        async with aclosing(child.astream({"x": 1}, stream_mode="custom")) as stream:
            async for item in stream:
                return {"log": [item]}
        return {}

    async def work() -> Any:
        result = await graph_of(node=node).ainvoke({"x": 1})
        assert watch.ended == 1
        return result

    assert run(work) == {"x": 1, "log": [("begun", 1)]}


def test_a_failure_stops_the_siblings_and_their_nested_graphs() -> None:
    watch = Watch()

    async def fail(state: State) -> None:
        await until(lambda: watch.begun == 3)
        raise ValueError("boom")

    graph = graph_of(a=watch.sleep, fail=fail, sub=graph_of(a=watch.sleep, b=watch.sleep))

    async def work() -> None:
        with pytest.raises(ValueError, match="boom"):
            await graph.ainvoke({"x": 1})
        assert watch.ended == 3

    run(work)


@pytest.mark.usefixtures("fake_clock")
def test_a_node_that_ignores_its_cancellation_is_waited_for() -> None:
    ended: list[str] = []

    async def stubborn(state: State) -> dict[str, Any]:
        get_stream_writer()("begun")
        try:
            await asyncio.sleep(FOREVER)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
        ended.append("stubborn")
        return {"log": ["not seen"]}

    async def work() -> list[Any]:
        async with aclosing(graph_of(a=stubborn).astream({"x": 1}, stream_mode="custom")) as items:
            async for item in items:
                return [item, *ended]
        return []

    assert run(work) == ["begun"]
    assert ended == ["stubborn"]


@pytest.mark.usefixtures("fake_clock")
def test_leaving_while_a_timed_out_attempt_cleans_up_waits_for_it() -> None:
    ended: list[str] = []

    async def node(state: State) -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            await asyncio.sleep(0.5)
            ended.append("node")

    graph = graph_of(a=(node, {"timeout": 0.05}))

    async def work() -> None:
        call = asyncio.create_task(graph.ainvoke({"x": 1}))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended == ["node"]

    run(work)


@pytest.mark.usefixtures("fake_clock")
def test_a_timed_out_attempt_that_fails_on_its_way_out_complains_to_nobody() -> None:
    async def clumsy(state: State) -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            raise ValueError("on the way out")

    graph = graph_of(a=(clumsy, {"timeout": 0.02}))

    async def work() -> None:
        with pytest.raises(NodeTimeoutError):
            await graph.ainvoke({"x": 1})

    run(work)


def test_leaving_before_the_first_item_runs_nothing() -> None:
    watch = Watch()

    async def work() -> None:
        stream = graph_of(a=watch.sleep).astream({"x": 1})
        await stream.aclose()
        assert [item async for item in stream] == []

    run(work)

    assert watch.begun == 0


def test_a_closed_stream_is_at_its_end() -> None:
    watch = Watch()

    async def work() -> None:
        stream = graph_of(a=watch.sleep).astream({"x": 1}, stream_mode=["values", "custom"])
        assert await stream.__anext__() == ("values", {"x": 1, "log": []})
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    run(work)


# -- savers ---------------------------------------------------------------------------------------


class SlowSaver(InMemorySaver):
    """Takes its time for each write."""

    async def aput(self, *args: Any) -> Any:
        await turns(20)
        return await super().aput(*args)

    async def aput_writes(self, *args: Any) -> None:
        await turns(20)
        await super().aput_writes(*args)


@pytest.mark.parametrize("steps", [1, 3, 12, 25])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_leaving_while_checkpoints_are_written_loses_no_finished_step(
    steps: int, durability: Any
) -> None:
    saver, finished = SlowSaver(), list[int]()
    config = {"configurable": {"thread_id": "1"}}

    async def count(state: State) -> dict[str, Any]:
        if len(finished) == steps:
            await asyncio.sleep(FOREVER)
        finished.append(len(finished))
        return {"log": [finished[-1]]}

    builder = StateGraph(State).add_node(count).add_edge(START, "count").add_edge("count", "count")
    graph = builder.compile(checkpointer=saver)

    async def work() -> None:
        call = asyncio.create_task(graph.ainvoke({"x": 1}, config, durability=durability))
        await until(lambda: len(finished) == steps)
        await turns(10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(work)

    saved = list(saver.list(config))
    assert [item.parent_config for item in saved] == [*(item.config for item in saved[1:]), None]
    stored = list(saved[0].checkpoint["channel_values"].get("log", []))
    for _, channel, value in saved[0].pending_writes or ():
        stored += value if channel == "log" else []
    assert stored == finished


def test_leaving_while_a_checkpoint_is_awaited_stops_the_run() -> None:
    watch = Watch()
    config = {"configurable": {"thread_id": "1"}}
    graph = graph_of(saver=SlowSaver(), a=watch.sleep)

    async def work() -> None:
        call = asyncio.create_task(graph.ainvoke({"x": 1}, config, durability="sync"))
        await turns(10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(work)

    assert watch.begun == 0


# -- threads below an async run -------------------------------------------------------------------


@pytest.mark.parametrize("is_async_node", [False, True], ids=["sync node", "to_thread"])
def test_a_nested_sync_graph_of_a_cancelled_run_stops_at_its_next_superstep(
    is_async_node: bool,
) -> None:
    ran: list[str] = []
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def first(state: State) -> None:
        ran.append("first")
        begun.set()
        go_on.wait(10)

    def second(state: State) -> None:
        ran.append("second")

    builder = StateGraph(State).add_sequence([first, second]).add_edge(START, "first")
    child = graph_of(sub=builder.compile())

    def call(state: State) -> None:
        try:
            child.invoke({"x": 1})
        finally:
            ended.set()

    async def acall(state: State) -> None:
        await asyncio.to_thread(call, state)

    graph = graph_of(call=acall if is_async_node else call)

    async def work() -> None:
        invocation = asyncio.create_task(graph.ainvoke({"x": 1}))
        await asyncio.to_thread(begun.wait, 10)
        invocation.cancel()
        with pytest.raises(asyncio.CancelledError):
            await invocation
        go_on.set()
        assert await asyncio.to_thread(ended.wait, 10)

    run(work)

    assert ran == ["first"]
