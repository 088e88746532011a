"""Runs that were started go on by themselves, are seen by all, and end with their owner."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from millstream.config import get_stream_writer
from millstream.errors import GraphDrained, InvalidUpdateError, RunCancelledError
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.runs import Event, RunHandle
from millstream.runtime import RunControl, Runtime
from millstream.types import Command, interrupt
from runs.starting import (
    IN_TIME,
    AsyncStarter,
    Starter,
    State,
    adata,
    at_once,
    data,
    in_thread,
    row,
    say,
    until,
)

pytestmark = pytest.mark.timeout(30)

THREAD = {"configurable": {"thread_id": "1"}}


def ask(state: State) -> dict[str, Any]:
    return {"log": [interrupt("why?")]}


def fail(state: State) -> None:
    raise OSError("no")


# -- a run and its end ---------------------------------------------------------------------------


def test_a_run_goes_on_without_a_reader(starter: Starter) -> None:
    with starter.start(row(say(1, 2), say(3))) as run:
        assert run.wait(IN_TIME) == {"log": [1, 2, 3]}

        assert (run.status, run.output, run.interrupts) == ("success", {"log": [1, 2, 3]}, ())
        assert [(event.seq, event.mode) for event in run.events()] == [
            (1, "custom"),
            (2, "custom"),
            (3, "updates"),
            (4, "custom"),
            (5, "updates"),
        ]


def test_the_output_is_that_of_invoke(starter: Starter) -> None:
    class Model(BaseModel):
        log: list[int] = []

    def node(state: Model) -> dict[str, Any]:
        return {"log": [1]}

    builder = StateGraph(Model).add_node(node).add_edge(START, "node")
    graphs = [
        builder.compile(),
        row(lambda state: None),
        entrypoint()(lambda given: given["log"]),
    ]
    for graph in graphs:
        with starter.start(graph) as run:
            assert run.wait(IN_TIME) == graph.invoke({"log": []}, version="v2").value


def test_what_is_logged_is_what_a_stream_of_these_modes_yields(starter: Starter) -> None:
    graph = row(say(1), row(say(2)), at_once(say(3), say(4)))
    modes: Any = ["values", "updates", "custom"]
    with starter.start(graph, stream_mode=modes, subgraphs=True) as run:
        run.wait(IN_TIME)
        logged = [(event.mode, event.data) for event in run.events()]

    streamed = [
        (mode, payload)
        for _, mode, payload in graph.stream({"log": []}, stream_mode=modes, subgraphs=True)
    ]
    key = repr  # nodes of one superstep may come in any order
    assert sorted(logged, key=key) == sorted(streamed, key=key)


def test_one_mode_can_be_logged_alone(starter: Starter) -> None:
    with starter.start(row(say(1)), stream_mode="values") as run:
        run.wait(IN_TIME)
        assert data(run.events()) == [{"log": []}, {"log": [1]}]


def test_an_error_of_the_run_is_raised_by_who_asks_for_the_output(starter: Starter) -> None:
    with starter.start(row(say(1), fail)) as run:
        assert data(run.events()) == [1, {"n0": {"log": [1]}}]
        for _ in range(2):
            with pytest.raises(OSError, match="no"):
                run.wait(IN_TIME)
            with pytest.raises(OSError, match="no") as raised:
                run.output

        assert run.status == "error"
        assert run.error is raised.value
        assert len(raised.traceback) < 20


def test_the_output_is_not_waited_for(starter: Starter) -> None:
    sleeper = starter.sleeper()
    with starter.start(row(sleeper.node)) as run:
        sleeper.wait()
        assert (run.status, run.is_done) == ("running", False)
        with pytest.raises(RuntimeError, match=r"has no output yet, it is running: call `run.wait"):
            run.output
        with pytest.raises(TimeoutError):
            run.wait(timeout=0.01)
        sleeper.may_go.set()
        assert run.wait(IN_TIME) == {"log": ["slept"]}


def test_a_run_waits_for_an_answer_and_a_second_one_goes_on(starter: Starter) -> None:
    graph = row(say(1), ask, checkpointer=InMemorySaver())
    with starter.start(graph, config=THREAD) as run:
        assert run.wait(IN_TIME) == {"log": [1]}
        assert run.status == "interrupted"
        assert [question.value for question in run.interrupts] == ["why?"]

    with starter.start(graph, Command(resume="so"), THREAD) as run:
        assert run.wait(IN_TIME) == {"log": [1, "so"]}
        assert (run.status, run.interrupts) == ("success", ())


def test_a_breakpoint_interrupts_without_a_question(starter: Starter) -> None:
    graph = row(say(1), say(2), checkpointer=InMemorySaver())
    with starter.start(graph, config=THREAD, interrupt_before=["n1"]) as run:
        assert run.wait(IN_TIME) == {"log": [1]}
        assert (run.status, run.interrupts) == ("interrupted", ())


def test_wrong_arguments_are_refused_at_once(starter: Starter) -> None:
    with pytest.raises(ValueError, match="Unknown stream mode 'nonsense'"):
        starter.start(row(say(1)), stream_mode="nonsense")
    with pytest.raises(TypeError, match="have no max_buffered"):
        starter.start(row(say(1)), max_buffered=3)
    with pytest.raises(ValueError, match="Checkpointer requires"):
        starter.start(row(say(1), checkpointer=InMemorySaver()))


def test_an_input_that_cannot_be_taken_is_the_error_of_the_run(starter: Starter) -> None:
    with starter.start(row(say(1)), {"log": 1}) as run, pytest.raises(TypeError):
        run.wait(IN_TIME)
    builder = StateGraph(State).add_node("n0", lambda state: 7).add_edge(START, "n0")
    with starter.start(builder.compile()) as run, pytest.raises(InvalidUpdateError):
        run.wait(IN_TIME)


# -- readers -------------------------------------------------------------------------------------


def test_all_readers_see_the_same_events(starter: Starter) -> None:
    sleeper = starter.sleeper()
    with starter.start(row(say(*range(100)), sleeper.node), stream_mode="custom") as run:
        early = [in_thread(lambda: [*run.events()]) for _ in range(2)]
        early.append(in_thread(lambda: asyncio.run(events(run))))
        sleeper.wait()
        middle = in_thread(lambda: [*run.events(after=50)])
        sleeper.may_go.set()
        run.wait(IN_TIME)

        first, *others = [result() for result in early]
        assert data(first[:100]) == list(range(100))
        assert others == [first, first]
        assert [*run.events()] == first
        assert middle() == first[50:]


async def events(run: RunHandle[Any]) -> list[Event]:
    return [event async for event in run.events()]


def test_a_slow_reader_sees_everything_and_holds_nobody_back(starter: Starter) -> None:
    with starter.start(row(say(*range(10_000))), stream_mode="custom") as run:
        slow = iter(run.events())
        assert next(slow).data == 0
        assert len(run.wait(IN_TIME)["log"]) == 10_000
        assert data(slow) == list(range(1, 10_000))


def test_an_async_run_is_read_in_its_own_loop_while_it_goes_on() -> None:
    async def scenario() -> None:
        go = asyncio.Event()

        async def node(state: State) -> None:
            get_stream_writer()("a")
            await go.wait()
            get_stream_writer()("b")

        async with await row(node).astart({"log": []}, stream_mode="custom") as run:
            assert run.status == "pending"
            seen = []
            async for event in run.events():
                seen.append(event.data)
                go.set()
            assert seen == ["a", "b"]
            assert await run.await_end() == {"log": []}

    asyncio.run(scenario())


def test_a_sync_run_is_read_and_awaited_in_a_loop() -> None:
    async def scenario() -> None:
        async with row(say(1)).start({"log": []}, stream_mode="custom") as run:
            assert await adata(run.events()) == [1]
            assert await run.await_end() == {"log": [1]}

    asyncio.run(scenario())


def test_who_waits_can_be_cancelled_and_the_run_goes_on(starter: Starter) -> None:
    sleeper = starter.sleeper()
    with starter.start(row(sleeper.node)) as run:

        async def scenario() -> None:
            waiting = asyncio.create_task(run.await_end())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        asyncio.run(scenario())
        assert run.status == "running"
        sleeper.may_go.set()
        assert run.wait(IN_TIME) == {"log": ["slept"]}


def test_what_would_block_the_run_itself_is_refused() -> None:
    async def scenario() -> None:
        async with await row(say(1)).astart({"log": []}) as run:
            with pytest.raises(RuntimeError, match=r"use `await run.await_end\(\)`"):
                run.wait()
            with pytest.raises(RuntimeError, match=r"async for event in run.events\(\)"):
                next(run.events())
            await run.await_end()
            assert run.wait() == {"log": [1]}
            assert data(run.events())

    asyncio.run(scenario())


def test_a_node_that_waits_for_its_own_run_is_told(starter: Starter) -> None:
    handles: list[Any] = []
    given = threading.Event()

    def node(state: State) -> None:
        assert given.wait(IN_TIME)
        handles[0].wait()

    with starter.start(row(node)) as run:
        handles.append(run)
        given.set()
        with pytest.raises(RuntimeError, match="waits for the end of that run"):
            run.wait(IN_TIME)
        handles.clear()


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
            while not sleeper.began.is_set():  # noqa: ASYNC110  # set in another thread
                await asyncio.sleep(0.001)
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


def test_the_handle_of_a_run_that_ended_well_is_freed_at_once(starter: Starter) -> None:
    gc.disable()
    try:
        run = starter.start(row(say(1)))
        run.wait(IN_TIME)
        life = weakref.ref(run._life)
        del run
        until(lambda: life() is None)
    finally:
        gc.enable()


def test_a_loop_that_is_closed_ends_its_runs() -> None:
    loop = asyncio.new_event_loop()

    async def begin() -> Any:
        run = await row(sleep).astart({"log": []})
        await asyncio.sleep(0.01)
        return run

    async def sleep(state: State) -> None:
        await asyncio.Event().wait()

    run = loop.run_until_complete(begin())
    waiting = in_thread(lambda: data(run.events()))
    until(lambda: run._life.log.bell.has_waiters)
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
    ended = []

    async def sleep(state: State) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def begin() -> Any:
        run = await row(sleep).astart({"log": []})
        await asyncio.sleep(0.01)
        return run

    run = asyncio.run(begin())

    assert (run.status, ended) == ("cancelled", [True])


# -- where a run is started ----------------------------------------------------------------------


def test_a_run_has_the_context_of_whoever_started_it(starter: Starter) -> None:
    var: ContextVar[str] = ContextVar("var", default="none")

    def node(state: State) -> dict[str, Any]:
        return {"log": [var.get()]}

    token = var.set("mine")
    try:
        if isinstance(starter, AsyncStarter):

            async def begin() -> Any:
                return await row(node).astart({"log": []})

            run = starter.do(begin())
        else:
            run = starter.start(row(node))
        assert run.wait(IN_TIME) == {"log": ["mine"]}
    finally:
        var.reset(token)


def test_a_run_started_in_a_node_is_nested_in_its_run() -> None:
    child = row(say("child"))

    def node(state: State) -> dict[str, Any]:
        with child.start({"log": []}) as run:
            return {"log": run.wait(IN_TIME)["log"]}

    items = list(row(node).stream({"log": []}, stream_mode="updates", subgraphs=True))

    update = {"n0": {"log": ["child"]}}
    assert [(len(namespace), item) for namespace, item in items] == [(1, update), (0, update)]


def test_a_question_of_a_run_started_in_a_node_is_asked_by_the_node() -> None:
    child = row(ask)

    def node(state: State) -> dict[str, Any]:
        with child.start({"log": []}) as run:
            return {"log": run.wait(IN_TIME)["log"]}

    graph = row(node, checkpointer=InMemorySaver())
    asked = graph.invoke({"log": []}, THREAD)
    assert [question.value for question in asked["__interrupt__"]] == ["why?"]
    assert graph.invoke(Command(resume="so"), THREAD) == {"log": ["so"]}


def test_entrypoints_and_their_tasks_are_started_as_graphs_are(starter: Starter) -> None:
    @task
    def double(number: int) -> int:
        get_stream_writer()(number)
        return 2 * number

    @entrypoint()
    def work(numbers: list[int]) -> list[int]:
        return [future.result() for future in [double(number) for number in numbers]]

    with Starter().start(work, [1, 2], stream_mode="custom") as run:
        assert run.wait(IN_TIME) == [2, 4]
        assert sorted(data(run.events())) == [1, 2]
