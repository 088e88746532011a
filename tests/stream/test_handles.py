"""Nested graphs: their lifecycle, and the handles to look into them."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from millstream.errors import NodeCancelledError
from millstream.func import entrypoint, task
from millstream.runtime import RunControl
from millstream.stream import (
    AsyncSubgraphRunStream,
    StreamMux,
    SubgraphRunStream,
    UpdatesTransformer,
    ValuesTransformer,
)
from millstream.types import Command, Send, interrupt
from stream.reading import FOREVER, AsyncReader, Reader, Steps, at_once, fail, logs, row, steps

pytestmark = pytest.mark.timeout(20)

THREAD = {"configurable": {"thread_id": "1"}}


def ask(state: Any) -> Any:
    return {"log": [interrupt("question")]}


def calling(reader: Reader, graph: Any, times: int = 1) -> Any:
    """Return a node that calls a graph, one time after another."""

    async def node() -> Any:
        for _ in range(times):
            await (graph.ainvoke({"x": 1}) if reader.is_async else now(graph))
        return {"log": ["called"]}

    async def now(graph: Any) -> Any:
        return graph.invoke({"x": 1})

    return reader.node(node)


async def look(reader: Reader, run: Any) -> list[Any]:
    """Return what all handles of a run show: how deep, the values, the handles below, the end."""
    found = []
    async for handle in reader.each(run.subgraphs):
        values = reader.iterator(handle.values)
        below = await look(reader, handle)
        found.append([len(handle.path), logs(await reader.all(values)), below, handle.status])
    return found


# -- which graphs have one -----------------------------------------------------------------------


def test_a_handle_shows_its_graph_from_the_first_state(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", row("b", "c")))
        (handle,) = [handle async for handle in reader.each(run.subgraphs)]
        assert handle.status == "completed"

        run = await reader.open(row("a", row("b", "c")))
        handle = await reader.next(reader.iterator(run.subgraphs))
        kind = AsyncSubgraphRunStream if reader.is_async else SubgraphRunStream
        assert type(handle) is kind
        assert (handle.graph_name, handle.status, handle.error) == ("n1", "started", None)
        assert handle.path == (f"n1:{handle.trigger_call_id}",)
        assert logs(await reader.all(handle.values)) == [["a"], ["a", "b"], ["a", "b", "c"]]
        assert handle.status == "completed"
        assert (await reader.output(run))["log"] == ["a", "a", "b", "c"]

    reader.run(scenario())


async def next_itself(iterator: Any) -> Any:
    return await anext(iterator)


async def next_in_time(iterator: Any) -> Any:
    return await asyncio.wait_for(anext(iterator), FOREVER)


async def next_in_a_task(iterator: Any) -> Any:
    return await asyncio.ensure_future(anext(iterator))


async def next_gathered(iterator: Any) -> Any:
    return (await asyncio.gather(anext(iterator)))[0]


async def next_waited_for(iterator: Any) -> Any:
    (done,), _ = await asyncio.wait([asyncio.ensure_future(anext(iterator))])
    return done.result()


async def next_completed(iterator: Any) -> Any:
    return await next(asyncio.as_completed([anext(iterator)]))


async def next_in_a_group(iterator: Any) -> Any:
    if sys.version_info < (3, 11):
        return await next_gathered(iterator)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(anext(iterator))
    return reading.result()


@pytest.mark.parametrize(
    "take",
    [
        next_itself,
        next_in_time,
        next_in_a_task,
        next_gathered,
        next_waited_for,
        next_completed,
        next_in_a_group,
    ],
)
@pytest.mark.parametrize("begins_a_task", [False, True], ids=["here", "in a task"])
def test_a_handle_can_be_looked_into_however_it_is_awaited_while_others_read(
    take: Any, begins_a_task: bool
) -> None:
    reader = AsyncReader()

    async def scenario() -> None:
        run = await reader.open(row("a", row("b", "c")))
        others = asyncio.create_task(reader.all(run))
        await asyncio.sleep(0)
        handles = reader.iterator(run.subgraphs)
        handle = await take(handles)
        if begins_a_task:
            values = await asyncio.create_task(reader.all(handle.values))
        else:
            values = await reader.all(handle.values)
        await others

        assert logs(values) == [["a"], ["a", "b"], ["a", "b", "c"]]

    reader.run(scenario())


def test_handles_are_of_direct_children_and_have_their_own(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", row("b", row("c", row("d")))))
        lifecycle = reader.iterator(run.lifecycle)

        ((depth, values, below, status),) = await look(reader, run)
        assert (depth, len(values), status) == (1, 3, "completed")
        ((depth, values, below, status),) = below
        assert (depth, values[:2], status) == (2, [["a", "b"], ["a", "b", "c"]], "completed")
        assert below == [[3, [["a", "b", "c"], ["a", "b", "c", "d"]], [], "completed"]]
        told = [(each["event"], len(each["namespace"])) for each in await reader.all(lifecycle)]
        assert told == [("started", 1), ("started", 2), ("started", 3)] + [
            ("completed", 3),
            ("completed", 2),
            ("completed", 1),
        ]

    reader.run(scenario())


def test_parallel_graphs_have_a_handle_each(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(at_once(row("a"), row("b"), row("c")))
        handles = await reader.all(run.subgraphs)

        assert sorted(handle.graph_name for handle in handles) == ["n0", "n1", "n2"]
        outputs = [(await reader.output(handle))["log"] for handle in handles]
        assert sorted(outputs) == [["a"], ["b"], ["c"]]

    reader.run(scenario())


def test_repeated_calls_have_a_handle_each(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(calling(reader, row("a"), times=3)))
        lifecycle = reader.iterator(run.lifecycle)
        found = await look(reader, run)

        assert [[each[1], each[3]] for each in found] == [[[[], ["a"]], "completed"]] * 3
        told = await reader.all(lifecycle)
        assert [each["event"] for each in told] == ["started", "completed"] * 3
        namespaces = [tuple(each["namespace"]) for each in told]
        assert len(set(namespaces)) == 3
        assert namespaces[0] == namespaces[1]

    reader.run(scenario())


def test_stateful_graphs_have_a_handle(reader: Reader) -> None:
    async def scenario() -> None:
        graph = row("a", row("b", checkpointer=True), checkpointer=InMemorySaver())
        for before in ([], ["a", "b"]):
            run = await reader.open(graph, config=THREAD)
            lifecycle = reader.iterator(run.lifecycle)
            handle = await reader.next(reader.iterator(run.subgraphs))

            assert handle.path == ("n1",)
            assert handle.graph_name == "n1"
            assert handle.trigger_call_id is not None
            assert len(await reader.all(handle.values)) >= 2
            assert handle.status == "completed"
            assert (await reader.output(handle))["log"][: len(before)] == before
            told = [(each["event"], each["namespace"]) for each in await reader.all(lifecycle)]
            assert told == [("started", ["n1"]), ("completed", ["n1"])]

    reader.run(scenario())


def test_graphs_called_in_tasks_have_a_handle(reader: Reader) -> None:
    inner = row("a")

    if reader.is_async:

        @task
        async def call() -> Any:
            return await inner.ainvoke({"x": 1})

        @entrypoint()
        async def work(x: int) -> Any:
            return [await call(), await call()]
    else:

        @task
        def call() -> Any:
            return inner.invoke({"x": 1})

        @entrypoint()
        def work(x: int) -> Any:
            return [call().result(), call().result()]

    async def scenario() -> None:
        run = await reader.open(work, given=1)
        lifecycle = reader.iterator(run.lifecycle)
        found = await look(reader, run)

        assert [each[1:] for each in found] == [[[[], ["a"]], [], "completed"]] * 2
        told = await reader.all(lifecycle)
        assert [each["event"] for each in told] == ["started", "completed"] * 2
        assert told[0]["graph_name"] == "call"

    reader.run(scenario())


def test_sent_graphs_have_a_handle_each(reader: Reader) -> None:
    from millstream.graph import START, StateGraph
    from stream.reading import State

    builder = StateGraph(State).add_node("sent", row("b"))
    builder.add_conditional_edges(
        START, lambda state: [Send("sent", {"x": n, "log": [n]}) for n in range(3)]
    )

    async def scenario() -> None:
        run = await reader.open(builder.compile())
        handles = await reader.all(run.subgraphs)
        assert [handle.graph_name for handle in handles] == ["sent"] * 3
        outputs = [(await reader.output(handle))["log"] for handle in handles]
        assert sorted(outputs) == [[0, "b"], [1, "b"], [2, "b"]]

    reader.run(scenario())


# -- what they show ------------------------------------------------------------------------------


def test_a_handle_has_all_projections(reader: Reader) -> None:
    async def scenario() -> None:
        graph = row("a", row("b", row("c")))
        run = await reader.open(graph, UpdatesTransformer, steps())
        handle = await reader.next(reader.iterator(run.subgraphs))
        names = ("values", "updates", "steps", "lifecycle", "subgraphs", "messages")
        iterators = [reader.iterator(handle.extensions[name]) for name in names]
        found = [await reader.all(iterator) for iterator in iterators]

        assert [len(items) for items in found] == [3, 2, 3, 2, 1, 0]
        assert handle.updates is handle.extensions["updates"]
        assert await reader.interrupts(handle) == (False, [])
        assert (await reader.output(handle))["log"] == ["a", "b", "a", "b", "c"]
        await reader.abort(run)

    reader.run(scenario())


def test_reading_a_handle_carries_on_the_run(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", row("b"), "c"))
        values = reader.iterator(run.values)
        handle = await reader.next(reader.iterator(run.subgraphs))

        assert (await reader.output(handle))["log"] == ["a", "b"]
        assert handle.status == "completed"
        assert [len(log) for log in logs(await reader.all(values))] == [0, 1, 3, 4]

    reader.run(scenario())


def test_handles_can_be_interleaved_and_teed(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(row("a", "b")), steps())
        handle = await reader.next(reader.iterator(run.subgraphs))
        first, second = reader.tee(handle.values, 2)
        both = await reader.all(handle.interleave("steps", "lifecycle"))

        assert both == [("steps", 0), ("steps", 1), ("steps", 2)]
        assert logs(await reader.all(first)) == logs(await reader.all(second))
        assert await reader.all(first) == []
        await reader.abort(run)

    reader.run(scenario())


def test_a_full_channel_of_a_handle_holds_back_the_run(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(row("a", "b", "c", "d")), steps(maxlen=1))
        log = reader.iterator(run)
        handle = await reader.next(reader.iterator(run.subgraphs))
        counts = reader.iterator(handle.extensions["steps"])
        may_go_on = reader.flag()
        seen: list[Any] = []

        async def slow() -> Any:
            first = await reader.next(counts)
            await may_go_on.wait()
            return [first, *await reader.all(counts)]

        async def read() -> None:
            async for event in reader.each(log):
                seen.append(event["method"])

        async def watch() -> int:
            await reader.until(lambda: run._mux.pump.is_held_back() or len(seen) == 9)
            held = len(seen)
            may_go_on.set()
            return held

        results = await reader.together(slow(), read(), watch())
        assert results[0] == [0, 1, 2, 3, 4]
        assert len(seen) == 9
        assert results[2] <= 4

    reader.run(scenario())


def test_a_handle_that_is_left_lets_the_run_go_on(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(row("a", "b", row("c")), "d"), steps(name="steps"))
        handle = await reader.next(reader.iterator(run.subgraphs))
        log = reader.iterator(handle)

        async def body() -> Any:
            return await reader.next(reader.iterator(handle.values))

        assert await reader.inside(handle, body) == {"x": 1, "log": []}
        assert await reader.all(handle.extensions["steps"]) == []
        assert len(await reader.all(log)) <= 2
        await reader.abort(handle)
        output = await reader.output(run)
        assert output["log"][-1] == "d"
        assert handle.status == "completed"

    reader.run(scenario())


def test_threads_that_leave_handles_do_not_disturb_the_run() -> None:
    reader = Reader()

    async def scenario() -> None:
        for _ in range(20):
            run = await reader.open(row(row("a", "b", "c", "d"), "e"), steps())
            subgraphs = reader.iterator(run.subgraphs)
            handle = await reader.next(subgraphs)
            counts = reader.iterator(handle.extensions["steps"])

            async def leave(handle: Any = handle, counts: Any = counts) -> None:
                await reader.next(counts)
                await reader.abort(handle)

            results = await reader.together(leave(), reader.all(run), reader.output(run))
            assert results[0] is None
            assert results[2]["log"] == ["a", "b", "c", "d", "e"]

    reader.run(scenario())


def test_a_handle_can_be_left_while_its_transformers_are_busy() -> None:
    """What they then push is for nobody, and no error."""
    reader = AsyncReader()
    busy, gate = asyncio.Event(), asyncio.Event()

    async def aprocess(self: Steps, event: Any) -> bool:
        if self.scope:
            busy.set()
            await gate.wait()
        return self.process(event)

    async def scenario() -> None:
        run = await reader.open(row(row("a"), "b"), type("Own", (Steps,), {"aprocess": aprocess}))
        handle = await reader.next(reader.iterator(run.subgraphs))
        counts = reader.iterator(handle.extensions["steps"])
        output = asyncio.create_task(reader.output(run))
        await busy.wait()
        await reader.abort(handle)
        gate.set()

        assert (await output)["log"] == ["a", "b"]
        assert await reader.all(counts) == []

    reader.run(scenario())


def test_without_a_reader_of_handles_there_are_none(reader: Reader) -> None:
    """Unless a transformer that is not ours may want to see the events of nested graphs."""

    async def scenario() -> None:
        for transformers, count in [((), 0), ((UpdatesTransformer,), 0), ((steps(),), 1)]:
            made: list[Any] = []
            run = await reader.open(row(row("a")), *transformers)
            make = run._mux._make_child
            run._mux._make_child = lambda scope, make=make, made=made: (
                made.append(scope) or make(scope)
            )
            await reader.output(run)
            assert len(made) == count

    reader.run(scenario())


# -- how they end --------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_error_keeps_its_type_at_every_depth(reader: Reader, depth: int) -> None:
    async def scenario() -> None:
        graph = row("a", fail(KeyError("no")))
        for _ in range(depth):
            graph = row(graph)
        run = await reader.open(graph)
        lifecycle = reader.iterator(run.lifecycle)
        stream = run
        for _ in range(depth):
            stream = await reader.next(reader.iterator(stream.subgraphs))
            assert stream.status == "started"
        *values, error = await reader.until_error(stream.values)

        assert logs(values) == [[], ["a"]]
        assert type(error) is KeyError
        assert (stream.status, stream.error) == ("failed", "'no'")
        with pytest.raises(KeyError) as raised:
            await reader.output(run)
        assert raised.value is error
        *told, same = await reader.until_error(lifecycle)
        assert same is error
        assert [(each["event"], len(each["namespace"])) for each in told] == [
            *(("started", level + 1) for level in range(depth)),
            *(("failed", level) for level in range(depth, 0, -1)),
        ]
        assert [each["error"] for each in told[depth:]] == ["'no'"] * depth

    reader.run(scenario())


def test_a_graph_stopped_by_the_failure_of_another_ends_with_that() -> None:
    """Its readers are not cancelled."""
    reader = AsyncReader()
    begun = asyncio.Event()

    async def wait(state: Any) -> None:
        begun.set()
        await asyncio.sleep(FOREVER)

    async def refuse(state: Any) -> None:
        await begun.wait()
        raise KeyError("no")

    async def scenario() -> None:
        for depth in (1, 2):
            begun.clear()
            run = await reader.open(at_once(row(wait) if depth == 1 else row(row(wait)), refuse))
            lifecycle = reader.iterator(run.lifecycle)
            handle = await reader.next(reader.iterator(run.subgraphs))
            *_, error = await reader.until_error(handle)
            *told, same = await reader.until_error(lifecycle)

            assert type(error) is KeyError
            assert same is error
            assert (handle.status, handle.error) == ("failed", "'no'")
            assert [each["event"] for each in told] == ["started"] * depth + ["failed"] * depth

    reader.run(scenario())


def test_a_graph_that_its_node_cancels_has_failed() -> None:
    """The run goes on, and so do those who read the graph."""
    reader = AsyncReader()

    waits = asyncio.Event()

    async def wait(state: Any) -> None:
        waits.set()
        await asyncio.sleep(FOREVER)

    inner = row("a", wait)

    async def impatient(state: Any) -> Any:
        call = asyncio.ensure_future(inner.ainvoke({"x": 1}))
        await waits.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return {"log": ["late"]}

    async def scenario() -> None:
        run = await reader.open(row(impatient, "b"))
        handle = await reader.next(reader.iterator(run.subgraphs))
        *values, error = await reader.until_error(handle.values)

        assert logs(values) == [[], ["a"]]
        assert type(error) is NodeCancelledError
        assert (handle.status, handle.error) == ("failed", str(error))
        assert (await reader.output(run))["log"] == ["late", "b"]

    reader.run(scenario())


def test_a_handled_error_of_a_graph_is_that_graphs_alone(reader: Reader) -> None:
    inner = row(fail(KeyError("no")))

    async def node() -> Any:
        try:
            await inner.ainvoke({"x": 1}) if reader.is_async else inner.invoke({"x": 1})
        except KeyError:
            return {"log": ["handled"]}

    async def scenario() -> None:
        run = await reader.open(row(reader.node(node)))
        handle = await reader.next(reader.iterator(run.subgraphs))
        with pytest.raises(KeyError):
            await reader.output(handle)
        assert handle.status == "failed"
        assert (await reader.output(run))["log"] == ["handled"]

    reader.run(scenario())


def test_a_graph_that_asks_is_interrupted(reader: Reader) -> None:
    async def scenario() -> None:
        graph = row(row("a", ask), checkpointer=InMemorySaver())
        run = await reader.open(graph, config=THREAD)
        lifecycle = reader.iterator(run.lifecycle)
        handle = await reader.next(reader.iterator(run.subgraphs))
        interrupted, (question,) = await reader.interrupts(handle)

        assert interrupted
        assert question.value == "question"
        assert (handle.status, handle.error) == ("interrupted", None)
        assert [each["event"] for each in await reader.all(lifecycle)] == ["started", "interrupted"]

        run = await reader.open(graph, config=THREAD, given=Command(resume="answer"))
        handle = await reader.next(reader.iterator(run.subgraphs))
        assert (await reader.output(handle))["log"] == ["a", "answer"]
        assert handle.status == "completed"
        await reader.output(run)

    reader.run(scenario())


def test_a_drained_graph_says_so(reader: Reader) -> None:
    control = RunControl()

    def drain(state: Any) -> Any:
        control.request_drain("enough")
        return {"log": ["drained"]}

    async def scenario() -> None:
        run = await reader.open(row(row(drain, "b"), "c"), control=control)
        handle = await reader.next(reader.iterator(run.subgraphs))
        found = await reader.until_error(run.values)

        assert type(found[-1]).__name__ == "GraphDrained"
        assert handle.status == "drained"
        assert handle.error is None

    reader.run(scenario())


def test_handles_of_an_aborted_run_end(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row(row("a", "b")))
        handle = await reader.next(reader.iterator(run.subgraphs))
        values = reader.iterator(handle.values)
        await reader.next(values)
        await reader.abort(run)

        assert len(await reader.all(values)) <= 1
        assert handle.status != "started"
        assert await reader.all(handle) == []

    reader.run(scenario())


def test_concurrent_readers_of_handles_see_them_from_the_first_state() -> None:
    """A task that is started for a handle comes early enough."""
    reader = AsyncReader()
    inner = row("a", "b")

    async def scenario() -> None:
        run = await reader.open(at_once(inner, row(inner, "c"), inner))
        reading: list[asyncio.Task[Any]] = []

        async def read(handle: Any) -> None:
            reading.append(asyncio.create_task(reader.all(handle.values)))
            async for below in handle.subgraphs:
                await read(below)

        tasks: list[asyncio.Task[None]] = []
        async for handle in run.subgraphs:
            tasks.append(asyncio.create_task(read(handle)))
        await asyncio.gather(*tasks)
        found = [logs(await each) for each in reading]

        assert sorted(map(len, found)) == [3, 3, 3, 3]
        assert all(states[0] == [] for states in found)

    reader.run(scenario())


def test_a_handle_can_be_made_by_hand(reader: Reader) -> None:
    kind = AsyncSubgraphRunStream if reader.is_async else SubgraphRunStream
    mux = StreamMux(factories=[ValuesTransformer], is_async=reader.is_async, _assign_seq=False)
    handle = kind(mux, path=("n:1",), graph_name="n", trigger_call_id="1")

    assert (handle.path, handle.graph_name, handle.trigger_call_id) == (("n:1",), "n", "1")
    assert handle.status == "started"

    async def scenario() -> None:
        await reader.abort(handle)
        assert await reader.all(handle.values) == []

    reader.run(scenario())
