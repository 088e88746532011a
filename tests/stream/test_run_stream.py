"""Run streams: how they are opened, what they show, how they end."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import suppress
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from millstream.config import get_stream_writer
from millstream.errors import GraphDrained, GraphInterrupt, GraphRecursionError
from millstream.func import entrypoint
from millstream.runtime import RunControl
from millstream.stream import (
    AsyncGraphRunStream,
    CheckpointsTransformer,
    CustomTransformer,
    DebugTransformer,
    GraphRunStream,
    StreamingHandler,
    TasksTransformer,
    UpdatesTransformer,
)
from millstream.types import Command, interrupt
from stream.reading import AsyncReader, Reader, fail, finish, logs, row, say, steps

pytestmark = pytest.mark.timeout(20)

OPT_IN = (
    UpdatesTransformer,
    CustomTransformer,
    CheckpointsTransformer,
    TasksTransformer,
    DebugTransformer,
)
THREAD = {"configurable": {"thread_id": "1"}}


def ask(state: Any) -> Any:
    return {"log": [interrupt("question")]}


# -- opening -------------------------------------------------------------------------------------


async def by_events(reader: Reader, graph: Any, **options: Any) -> Any:
    return await reader.open(graph, **options)


async def by_name(reader: Reader, graph: Any, **options: Any) -> Any:
    if reader.is_async:
        return await graph.astream_v2({"x": 1}, **options)
    return graph.stream_v2({"x": 1}, **options)


async def by_handler(reader: Reader, graph: Any, **options: Any) -> Any:
    handler = StreamingHandler(graph)
    if reader.is_async:
        return await handler.astream({"x": 1}, **options)
    return handler.stream({"x": 1}, **options)


@pytest.mark.parametrize("open_run", [by_events, by_name, by_handler])
def test_a_run_stream_can_be_opened_in_three_ways(reader: Reader, open_run: Any) -> None:
    async def scenario() -> None:
        run = await open_run(reader, row("a", "b"))

        assert type(run) is (AsyncGraphRunStream if reader.is_async else GraphRunStream)
        assert logs(await reader.all(run.values)) == [[], ["a"], ["a", "b"]]

    reader.run(scenario())


@pytest.mark.parametrize("name", ["stream_mode", "subgraphs"])
def test_arguments_that_the_stream_owns_are_refused_at_once(reader: Reader, name: str) -> None:
    async def scenario() -> None:
        with pytest.raises(TypeError, match=f"do not accept {name}"):
            await reader.open(row("a"), **{name: "values"})

    reader.run(scenario())


def test_there_is_no_other_version_in_sync() -> None:
    with pytest.raises(NotImplementedError, match="version='v3'"):
        row("a").stream_events({"x": 1})


def test_nothing_runs_before_somebody_reads(reader: Reader) -> None:
    ran: list[int] = []

    async def scenario() -> None:
        run = await reader.open(row(lambda state: ran.append(1)))
        reader.iterator(run.values)
        assert ran == []
        await reader.output(run)
        assert ran == [1]

    reader.run(scenario())


@pytest.mark.parametrize("read", ["output", "values", "log", "lifecycle"])
def test_what_is_wrong_with_the_config_is_raised_when_the_stream_is_read(
    reader: Reader, read: str
) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", checkpointer=InMemorySaver()))
        source = run if read == "log" else getattr(run, read) if read != "output" else None
        with pytest.raises(ValueError, match="Checkpointer requires"):
            await (reader.output(run) if source is None else reader.all(source))

    reader.run(scenario())


def test_other_arguments_are_those_of_stream(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b"), interrupt_before=["b"], output_keys="log")
        assert await reader.all(run.values) == [["a"]]
        assert await reader.output(run) == ["a"]
        assert await reader.interrupts(run) == (False, [])

    reader.run(scenario())


def test_what_is_not_projected_is_no_attribute(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"), steps())
        with pytest.raises(
            AttributeError,
            match=r"no attribute 'updates' \(registered projections: "
            r"lifecycle, messages, subgraphs, values\)",
        ):
            _ = run.updates
        with pytest.raises(AttributeError, match="no attribute 'steps'"):
            _ = run.steps
        with pytest.raises(TypeError):
            run.extensions["other"] = 1
        assert set(run.extensions) == {"values", "messages", "lifecycle", "subgraphs", "steps"}

    reader.run(scenario())


# -- projections ---------------------------------------------------------------------------------


def test_every_mode_has_a_projection_of_the_graph_itself(reader: Reader) -> None:
    def speak(state: Any) -> Any:
        get_stream_writer()("said")
        return {"log": ["spoke"]}

    async def scenario() -> None:
        graph = row(speak, row("inner", speak), checkpointer=InMemorySaver())
        run = await reader.open(graph, *OPT_IN, config=THREAD)
        names = ("updates", "custom", "checkpoints", "tasks", "debug", "values")
        iterators = {name: reader.iterator(getattr(run, name)) for name in names}
        await reader.output(run)
        found = {name: await reader.all(iterator) for name, iterator in iterators.items()}

        assert found["updates"] == [
            {"n0": {"log": ["spoke"]}},
            {"n1": {"x": 1, "log": ["spoke", "inner", "spoke"]}},
        ]
        assert found["custom"] == ["said"]
        assert [len(each["values"]["log"]) for each in found["checkpoints"]] == [0, 0, 1, 4]
        assert [(each["name"], "result" in each) for each in found["tasks"]] == [
            ("n0", False),
            ("n0", True),
            ("n1", False),
            ("n1", True),
        ]
        assert [each["type"] for each in found["debug"]] == [
            "checkpoint",
            "checkpoint",
            "task",
            "task_result",
            "checkpoint",
            "task",
            "task_result",
            "checkpoint",
        ]
        assert [len(log) for log in logs(found["values"])] == [0, 1, 4]

    reader.run(scenario())


def test_any_reader_carries_on_the_run_for_all(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", row("b"), "c"), *OPT_IN)
        names = ("values", "updates", "tasks", "lifecycle", "subgraphs", "messages")

        sources = [run, *[getattr(run, name) for name in names]]
        iterators = [reader.iterator(source) for source in sources]
        results = await reader.together(
            reader.output(run), *[reader.all(iterator) for iterator in iterators]
        )

        assert results[0]["log"] == ["a", "a", "b", "c"]
        assert [len(found) for found in results[2:]] == [4, 3, 6, 2, 1, 0]
        seen = [event["event_id"] for event in results[1]]
        assert len(set(seen)) == len(seen) > 10

    reader.run(scenario())


def test_the_output_is_the_last_state(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b"))
        first = await reader.output(run)

        assert first == {"x": 1, "log": ["a", "b"]}
        assert await reader.output(run) is first
        assert await reader.all(run.values) == []
        assert await reader.all(run) == []

    reader.run(scenario())


def test_a_run_that_wrote_nothing_has_no_output(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(lambda state: None), output_keys="x", given={})
        assert await reader.output(run) is None

    reader.run(scenario())


def test_questions_are_collected(reader: Reader) -> None:
    async def scenario() -> None:
        graph = row("a", ask, checkpointer=InMemorySaver())
        run = await reader.open(graph, config=THREAD)
        interrupted, interrupts = await reader.interrupts(run)

        assert interrupted
        assert [each.value for each in interrupts] == ["question"]
        assert (await reader.output(run))["log"] == ["a"]

        run = await reader.open(graph, config=THREAD, given=Command(resume="answer"))
        assert await reader.interrupts(run) == (False, [])
        assert (await reader.output(run))["log"] == ["a", "answer"]

    reader.run(scenario())


def test_a_functional_graph_has_a_run_stream(reader: Reader) -> None:
    @entrypoint()
    def work(x: int) -> int:
        return x + 1

    async def scenario() -> None:
        run = await reader.open(work, given=1)
        assert await reader.output(run) == 2

    reader.run(scenario())


# -- failing -------------------------------------------------------------------------------------


def test_every_reader_gets_the_same_error_after_everything_before_it(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", fail(ValueError("no"))), steps())
        sources = (run.values, run.extensions["steps"], run.lifecycle, run)
        iterators = [reader.iterator(source) for source in sources]
        results = await reader.together(
            *[reader.until_error(iterator) for iterator in iterators],
            reader.output(run),
            reader.interrupts(run),
        )

        errors = [result[-1] if isinstance(result, list) else result for result in results]
        assert [type(error) for error in errors] == [ValueError] * 6
        assert len(set(map(id, errors))) == 1
        assert [len(result) for result in results[:4]] == [3, 3, 1, 3]

    reader.run(scenario())


def test_a_run_that_takes_too_many_steps_fails(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b", "c"), config={"recursion_limit": 2})
        *values, error = await reader.until_error(run.values)
        assert len(values) == 3
        assert type(error) is GraphRecursionError

    reader.run(scenario())


def test_a_drained_run_says_so(reader: Reader) -> None:
    control = RunControl()

    def drain(state: Any) -> Any:
        control.request_drain("enough")
        return {"log": ["drained"]}

    async def scenario() -> None:
        run = await reader.open(row(drain, "b"), control=control)
        *values, error = await reader.until_error(run.values)
        assert logs(values) == [[], ["drained"]]
        assert type(error) is GraphDrained
        with pytest.raises(GraphDrained, match="enough"):
            await reader.output(run)

    reader.run(scenario())


def test_a_keyboard_interrupt_leaves_the_run_and_reaches_its_reader(reader: Reader) -> None:
    def press(state: Any) -> None:
        raise KeyboardInterrupt

    if reader.is_async:
        run = asyncio.run(reader.open(row("a", press)))
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(reader.output(run))
        return
    run = finish(reader.open(row("a", press)))
    with pytest.raises(KeyboardInterrupt):
        _ = run.output
    assert run.output["log"] == ["a"]
    assert list(run) == []


# -- several threads -----------------------------------------------------------------------------


def test_many_threads_read_one_sync_run() -> None:
    reader = Reader()
    graph = row("a", row("b", "c"), "d", *[say("e")] * 5)

    async def scenario() -> None:
        run = await reader.open(graph)
        branches = run.values.tee(4)
        log = run._mux._events.tee(3)
        results = await reader.together(
            *[reader.all(branch) for branch in branches],
            *[reader.all(branch) for branch in log],
            *[reader.output(run) for _ in range(3)],
        )

        assert [len(states) for states in results[:4]] == [9] * 4
        assert results[4] == results[5] == results[6]
        assert [event["seq"] for event in results[4]] == list(range(1, len(results[4]) + 1))
        assert results[-1]["log"][-1] == "e"

    reader.run(scenario())


def test_nodes_run_in_the_context_in_which_the_run_was_opened(reader: Reader) -> None:
    """Whoever reads."""
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    graph = row(lambda state: {"log": [variable.get()]})

    async def scenario() -> None:
        variable.set("opened")
        run = await reader.open(graph)
        variable.set("read")

        async def read() -> Any:
            variable.set("reader")
            return await reader.output(run)

        (output,) = await reader.together(read())
        assert output["log"] == ["opened"]

    reader.run(scenario())


# -- in a node -----------------------------------------------------------------------------------


def test_a_node_can_read_a_run_stream_of_its_own(reader: Reader) -> None:
    inner = row("i", row("leaf"))

    async def node() -> Any:
        run = await reader.open(inner)
        lifecycle = reader.iterator(run.lifecycle)
        values = await reader.all(run.values)
        events = [payload["event"] for payload in await reader.all(lifecycle)]
        return {"log": [len(values), *events]}

    async def scenario() -> None:
        run = await reader.open(row("a", reader.node(node)))
        lifecycle = reader.iterator(run.lifecycle)

        assert (await reader.output(run))["log"] == ["a", 3, "started", "completed"]
        # What the node reads is nested in the run that the node is in.
        depths = [len(payload["namespace"]) for payload in await reader.all(lifecycle)]
        assert depths == [1, 2, 2, 1]

    reader.run(scenario())


def test_a_question_in_a_nodes_run_stream_is_the_nodes(reader: Reader) -> None:
    inner = row(ask)

    async def node() -> Any:
        run = await reader.open(inner)
        with suppress(GraphInterrupt):
            await reader.output(run)
        # All who read it are told, not only the first.
        return {"log": [(await reader.output(run))["log"]]}

    async def scenario() -> None:
        graph = row(reader.node(node), checkpointer=InMemorySaver())
        run = await reader.open(graph, config=THREAD)
        interrupted, (question,) = await reader.interrupts(run)
        assert interrupted
        assert question.value == "question"

        run = await reader.open(graph, config=THREAD, given=Command(resume="answer"))
        assert (await reader.output(run))["log"] == [["answer"]]

    reader.run(scenario())


def test_an_error_in_a_nodes_run_stream_can_be_handled(reader: Reader) -> None:
    inner = row(fail(ValueError("no")))

    async def node() -> Any:
        run = await reader.open(inner)
        return {"log": [repr(error) for error in (await reader.until_error(run))[-1:]]}

    async def scenario() -> None:
        run = await reader.open(row(reader.node(node)))
        assert (await reader.output(run))["log"] == ["ValueError('no')"]

    reader.run(scenario())


def test_a_nodes_run_stream_is_left_with_its_with_block(reader: Reader) -> None:
    ran: list[str] = []
    inner = row("i", lambda state: ran.append("second"), lambda state: ran.append("third"))

    async def node() -> Any:
        run = await reader.open(inner)

        async def body() -> Any:
            return await reader.next(reader.iterator(run.values))

        return {"log": [await reader.inside(run, body)]}

    async def scenario() -> None:
        output = await reader.output(await reader.open(row(reader.node(node))))
        assert output["log"] == [{"x": 1, "log": []}]
        assert "third" not in ran

    reader.run(scenario())


async def let_others_go_on(turns: int) -> None:
    """Let go of the loop so many times."""
    for _ in range(turns):
        await asyncio.sleep(0)


# -- dropping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_run_that_is_dropped_leaves_nothing(reader: Reader, count: int) -> None:
    """Neither a warning nor a task, thread or reference."""

    async def scenario() -> weakref.ref[Any]:
        run = await reader.open(row("a", row("b"), "c"), steps(maxlen=1))
        if count:
            iterator = reader.iterator(run)
            for _ in range(count):
                await reader.next(iterator)
            del iterator
        return weakref.ref(run)

    async def check() -> None:
        gone = await scenario()
        if reader.is_async:
            # The pump holds the run until it has given its last reader a turn.
            await let_others_go_on(10)
        gc.collect()
        if reader.is_async:
            await let_others_go_on(50)
        assert gone() is None

    reader.run(check())


def test_a_projection_can_be_read_without_keeping_the_run(reader: Reader) -> None:
    async def scenario() -> None:
        found = []
        async for state in reader.each((await reader.open(row("a", "b"))).values):
            gc.collect(1)
            found.append(state["log"])
        assert found == [[], ["a"], ["a", "b"]]

    reader.run(scenario())


def test_no_thread_waits_for_a_reader_who_is_between_two_items() -> None:
    """A sync run does nothing while nobody reads it."""
    run = row("a", "b").stream_events({"x": 1}, version="v3")
    values = iter(run.values)
    next(values)
    before = threading.active_count()
    list(values)
    assert threading.active_count() <= before


def test_tasks_of_a_cancelled_loop_leave_no_complaint() -> None:
    """A loop that ends while a run is being read takes it along."""
    reader = AsyncReader()

    async def wait(state: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        run = await reader.open(row("a", wait))
        asyncio.get_running_loop().create_task(reader.all(run.values), name="reader")
        for _ in range(10):
            await asyncio.sleep(0)

    asyncio.run(scenario())
    gc.collect()
