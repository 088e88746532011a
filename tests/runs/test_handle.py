"""Runs that were started go on by themselves, and are seen by all who look."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from millstream.config import get_stream_writer
from millstream.errors import InvalidUpdateError
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.runs import Event, RunHandle
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
