"""Runs that were started are stopped by their owners, and end with them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import weakref
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from millstream.config import get_stream_writer
from millstream.errors import GraphDrained, RunCancelledError
from millstream.executors import ProcessExecutor
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.runs import MemoryLog, RunHandle
from millstream.runtime import RunControl, Runtime
from millstream.types import Command
from runs.starting import (
    IN_TIME,
    Starter,
    State,
    at_once,
    data,
    in_thread,
    row,
    say,
)
from waiting import auntil, until

pytestmark = pytest.mark.timeout(30)

THREAD = {"configurable": {"thread_id": "1"}}


def fail(state: State) -> None:
    raise OSError("no")


# -- stopping ------------------------------------------------------------------------------------


def test_cancel_stops_a_node_that_sleeps(starter: Starter) -> None:
    sleeper = starter.sleeper()
    with starter.start(row(sleeper.node, say(2))) as run:
        sleeper.wait()
        in_thread(run.cancel)()

        with pytest.raises(RunCancelledError, match="The run of 'LangGraph' was cancelled"):
            run.wait(IN_TIME)
        assert run.status == "cancelled"
        assert sleeper.ended.is_set()
        assert {"n1"} not in [set(e.data) for e in run.events() if e.mode == "updates"]
        run.cancel()


def test_leaving_the_scope_stops_nested_graphs_and_returns_when_they_have(starter: Starter) -> None:
    sleepers = [starter.sleeper() for _ in range(2)]
    nested = row(at_once(sleepers[0].node, sleepers[1].node))
    with starter.start(row(nested, say("late")), subgraphs=True) as run:
        for sleeper in sleepers:
            sleeper.wait()

    assert run.status == "cancelled"
    assert all(sleeper.ended.is_set() for sleeper in sleepers)


def test_leaving_the_scope_stops_sync_nodes_of_an_async_run_that_emit() -> None:
    async def scenario() -> None:
        sleeper = Starter().sleeper()
        async with await row(row(sleeper.node)).astart({"log": []}, subgraphs=True) as run:
            await auntil(sleeper.began.is_set)
        assert run.status == "cancelled"
        assert await asyncio.to_thread(sleeper.ended.wait, IN_TIME)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_a_graph_called_by_a_sync_node_begins_no_superstep_after_cancel() -> None:
    began, go = threading.Event(), threading.Event()

    def wait(state: State) -> None:
        began.set()
        assert go.wait(IN_TIME)

    child = row(wait, say("late"))
    seen: list[Any] = []

    def call(state: State) -> None:
        try:
            seen.append(child.invoke({"log": []}))
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    with row(call).start({"log": []}, stream_mode="updates") as run:
        assert began.wait(IN_TIME)
        run.cancel()
        go.set()
        with pytest.raises(RunCancelledError):
            run.wait(IN_TIME)

    assert seen == ["RunAbandoned"]


def test_a_run_without_anything_to_show_is_cancelled_between_supersteps(starter: Starter) -> None:
    began = threading.Event()

    def turn(state: State) -> None:
        began.set()

    builder = StateGraph(State).add_node(turn).add_edge(START, "turn").add_edge("turn", "turn")
    endless = {"recursion_limit": 10**9}
    with starter.start(builder.compile(), config=endless, stream_mode=()) as run:
        assert began.wait(IN_TIME)
        run.cancel()
        with pytest.raises(RunCancelledError):
            run.wait(IN_TIME)


def test_a_run_can_be_cancelled_before_it_has_begun() -> None:
    async def scenario() -> None:
        run = await row(say(1)).astart({"log": []})
        run.cancel()
        with pytest.raises(RunCancelledError):
            await run.await_end()
        assert data(run.events()) == []

    asyncio.run(scenario())


def test_a_cancelled_run_goes_on_from_where_it_was(starter: Starter) -> None:
    sleeper = starter.sleeper()
    graph = row(say(1), sleeper.node, checkpointer=InMemorySaver())
    with starter.start(graph, config=THREAD, durability="exit") as run:
        sleeper.wait()

    assert run.status == "cancelled"
    assert graph.get_state(THREAD).values == {"log": [1]}
    sleeper.may_go.set()
    with starter.start(graph, Command(update={}), THREAD) as run:
        assert run.wait(IN_TIME) == {"log": [1, "slept"]}


def sleep_elsewhere(state: State) -> None:
    """Say something and fall asleep for longer than anybody waits; in a worker process."""
    get_stream_writer()("asleep")
    time.sleep(60)


def test_cancel_stops_a_node_in_a_worker_process(starter: Starter) -> None:
    with ProcessExecutor(1, grace=0.1) as executor:
        graph = row(sleep_elsewhere, executor=executor)
        with starter.start(graph, stream_mode="custom") as run:
            assert next(iter(run.events())).data == "asleep"
            run.cancel()
            with pytest.raises(RunCancelledError):
                run.wait(IN_TIME)


def test_drain_stops_before_the_next_superstep(starter: Starter) -> None:
    sleeper = starter.sleeper()
    graph = row(sleeper.node, say(2), checkpointer=InMemorySaver())
    with starter.start(graph, config=THREAD) as run:
        sleeper.wait()
        run.drain("enough")
        sleeper.may_go.set()
        with pytest.raises(GraphDrained, match="enough"):
            run.wait(IN_TIME)
        assert run.status == "drained"

    assert graph.get_state(THREAD).next == ("n1",)


def test_a_task_whose_nested_graph_is_drained_has_not_failed(starter: Starter) -> None:
    sleeper = starter.sleeper()
    inner = row(sleeper.node, say(2))
    graph = row(inner, checkpointer=InMemorySaver())
    with starter.start(graph, config=THREAD) as run:
        sleeper.wait()
        run.drain("enough")
        sleeper.may_go.set()
        with pytest.raises(GraphDrained, match="enough"):
            run.wait(IN_TIME)

    [task] = graph.get_state(THREAD).tasks
    assert (task.name, task.error) == ("n0", None)


def test_a_control_of_the_caller_drains_all_runs_it_was_given_to(starter: Starter) -> None:
    control = RunControl()
    sleepers = [starter.sleeper() for _ in range(2)]
    runs = [starter.start(row(each.node, say(2)), control=control) for each in sleepers]
    for each in sleepers:
        each.wait()
    control.request_drain("all")
    for run, each in zip(runs, sleepers, strict=True):
        each.may_go.set()
        with pytest.raises(GraphDrained, match="all"):
            run.wait(IN_TIME)


def test_draining_one_run_does_not_drain_others_of_the_same_control(starter: Starter) -> None:
    control = RunControl()
    sleepers = [starter.sleeper() for _ in range(2)]
    runs = [starter.start(row(each.node, say(2)), control=control) for each in sleepers]
    for each in sleepers:
        each.wait()
    runs[0].drain()
    for each in sleepers:
        each.may_go.set()
    with pytest.raises(GraphDrained):
        runs[0].wait(IN_TIME)
    assert runs[1].wait(IN_TIME) == {"log": ["slept", 2]}
    assert not control.drain_requested


def test_a_node_drains_through_the_control_of_the_caller(starter: Starter) -> None:
    control = RunControl()

    def node(state: State, runtime: Runtime) -> None:
        assert runtime.control is not None
        runtime.control.request_drain("said the node")

    run = starter.start(row(node, say(2)), control=control)
    with run, pytest.raises(GraphDrained, match="said the node"):
        run.wait(IN_TIME)
    assert control.drain_reason == "said the node"


@pytest.mark.real_time(reason="a task talks until it is stopped")
def test_who_waits_for_a_call_that_never_begins_is_told() -> None:
    began = threading.Event()
    told: list[str] = []

    @task
    def talk(number: int) -> None:
        while True:
            get_stream_writer()(number)
            began.set()
            time.sleep(0.001)

    @entrypoint()
    def work(numbers: list[int]) -> None:
        last = [talk(number) for number in numbers][-1]
        try:
            last.result()
        except BaseException as error:
            told.append(type(error).__name__)
            raise

    with Starter().start(work, [1, 2], {"max_concurrency": 1}, stream_mode="custom") as run:
        assert began.wait(IN_TIME)

    assert (run.status, told) == ("cancelled", ["RunAbandoned"])


# -- owners --------------------------------------------------------------------------------------


def test_a_handle_that_is_dropped_cancels_its_run(starter: Starter) -> None:
    sleeper = starter.sleeper()
    run = starter.start(row(sleeper.node))
    reader = run.events()
    sleeper.wait()

    del run
    gc.collect()

    assert sleeper.ended.wait(IN_TIME)
    assert "asleep" in data(reader)


def test_an_error_nobody_asked_for_is_logged(starter: Starter, caplog: Any) -> None:
    for ask_how in (lambda run: run.status, lambda run: run.error, lambda run: None):
        with starter.start(row(fail)) as run:
            for _ in run.events():
                pass
        ask_how(run)
        assert not caplog.records
        del run
        gc.collect()

    (record,) = caplog.records
    assert record.getMessage() == "A run of 'LangGraph' failed, and nobody asked for its output"
    assert type(record.exc_info[1]) is OSError


def test_a_handle_is_freed_when_it_is_dropped_and_not_by_the_collector(starter: Starter) -> None:
    sleeper = starter.sleeper()
    gc.disable()
    try:
        for node, error in [(say(1), None), (fail, OSError), (sleeper.node, RunCancelledError)]:
            run = starter.start(row(node))
            if error is RunCancelledError:
                sleeper.wait()
                run.cancel()
            with pytest.raises(error) if error else contextlib.nullcontext():
                run.wait(IN_TIME)
            life = weakref.ref(run._life)
            del run
            assert until(lambda life=life: life() is None)  # type: ignore[misc]
    finally:
        gc.enable()


class Referring(MemoryLog):
    """A log that refers to the handle of its run."""

    handle: RunHandle[Any] | None = None


def referred_to_by_log(starter: Starter, node: Any) -> RunHandle[Any]:
    """Return the handle of a run that has ended, to which its log refers."""
    log = Referring()
    log.handle = starter.start(row(node), log=log)
    for _ in log.handle.events():
        pass
    return log.handle


def referred_to_by_error(starter: Starter, node: Any) -> RunHandle[Any]:
    """Return a handle to which the error of its run refers, by the frame that caught it."""
    run = starter.start(row(node))
    with contextlib.suppress(OSError):
        run.wait(IN_TIME)
    return run


def referred_to_by_awaited_error(starter: Starter, node: Any) -> RunHandle[Any]:
    """Return a handle to which the error of its run refers, by the task that caught it."""
    run = starter.start(row(node))

    async def ask() -> RunHandle[Any]:
        mine = run
        with contextlib.suppress(OSError):
            await mine.await_end()
        return mine

    return asyncio.run(ask())


@pytest.mark.parametrize("node", [say(1), fail], ids=["success", "error"])
@pytest.mark.parametrize(
    "referred_to", [referred_to_by_log, referred_to_by_error, referred_to_by_awaited_error]
)
def test_a_handle_in_a_circle_is_collected(starter: Starter, referred_to: Any, node: Any) -> None:
    run = referred_to(starter, node)
    left = weakref.ref(run), weakref.ref(run._life)

    del run

    assert until(lambda: gc.collect() >= 0 and [each() for each in left] == [None, None])


def test_an_error_nobody_asked_for_is_logged_once_of_a_handle_in_a_circle(
    starter: Starter, caplog: Any
) -> None:
    run = referred_to_by_log(starter, fail)
    assert not caplog.records
    life = weakref.ref(run._life)

    del run
    assert until(lambda: gc.collect() >= 0 and life() is None)
    gc.collect()

    (record,) = caplog.records
    assert record.getMessage() == "A run of 'LangGraph' failed, and nobody asked for its output"
    assert type(record.exc_info[1]) is OSError


def test_a_loop_that_is_closed_ends_its_runs() -> None:
    loop, began = asyncio.new_event_loop(), asyncio.Event()

    async def begin() -> Any:
        run = await row(sleep).astart({"log": []})
        await began.wait()
        return run

    async def sleep(state: State) -> None:
        began.set()
        await asyncio.Event().wait()

    run = loop.run_until_complete(begin())
    waiting = in_thread(lambda: data(run.events()))
    assert until(lambda: run._life.log.bell.has_waiters)
    tasks = asyncio.all_tasks(loop)
    loop.close()

    assert waiting() == []
    assert run.status == "cancelled"
    with pytest.raises(RunCancelledError):
        run.wait()
    run.cancel()
    for each in tasks:
        each._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(RuntimeError):  # what stops speaks to its loop
            each.get_coro().close()  # type: ignore[union-attr]


def test_asyncio_run_ends_the_runs_that_were_started_in_it() -> None:
    began, ended = asyncio.Event(), []

    async def sleep(state: State) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def begin() -> Any:
        run = await row(sleep).astart({"log": []})
        await began.wait()
        return run

    run = asyncio.run(begin())

    assert (run.status, ended) == ("cancelled", [True])
