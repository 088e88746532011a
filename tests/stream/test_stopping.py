"""Leaving a run: aborts, cancelled readers, and that nothing is left then."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from drivers.leaving import SITUATIONS, Situation, Watch
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.stream import CustomTransformer, StreamTransformer
from stream.reading import FOREVER, AsyncReader, Reader, State, at_once, logs, row, steps

pytestmark = pytest.mark.timeout(20)

THREAD = {"configurable": {"thread_id": "1"}}


class Doing:
    """Notes what an endless async node does."""

    def __init__(self, turns: int = 3) -> None:
        self.begun = 0
        self.stopped = 0
        self.turns = turns
        """How many turns the clean-up takes."""

    async def __call__(self, state: State) -> None:
        self.begun += 1
        try:
            await asyncio.sleep(FOREVER)
        finally:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            self.stopped += 1


# -- abort ---------------------------------------------------------------------------------------


def test_an_aborted_run_shows_what_it_showed(reader: Reader) -> None:
    ran: list[str] = []

    def note(name: str) -> Any:
        return lambda state: ran.append(name) or {"log": [name]}

    async def scenario() -> None:
        run = await reader.open(row(note("a"), note("b"), note("c")), steps())
        values, counts = map(reader.iterator, (run.values, run.extensions["steps"]))
        await reader.next(values)
        await reader.next(values)
        await reader.abort(run)

        assert await reader.all(values) == []
        assert await reader.all(counts) == [0, 1]
        assert await reader.all(run) == []
        assert (await reader.output(run))["log"] == ["a"]
        assert await reader.interrupts(run) == (False, [])
        assert "c" not in ran

    reader.run(scenario())


def test_an_abort_before_the_beginning_starts_nothing(reader: Reader) -> None:
    ran: list[int] = []

    async def scenario() -> None:
        run = await reader.open(row(lambda state: ran.append(1)))
        await reader.abort(run)

        assert await reader.all(run.values) == []
        assert await reader.output(run) is None
        assert ran == []

    reader.run(scenario())


def test_an_abort_after_the_end_changes_nothing(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a"))
        output = await reader.output(run)
        await reader.abort(run)
        await reader.abort(run)
        assert await reader.output(run) is output

    reader.run(scenario())


def test_an_abort_after_a_failure_does_not_hide_it(reader: Reader) -> None:
    def node(state: Any) -> None:
        raise ValueError("no")

    async def scenario() -> None:
        run = await reader.open(row(node))
        await reader.until_error(run)
        await reader.abort(run)
        with pytest.raises(ValueError, match="no"):
            await reader.output(run)

    reader.run(scenario())


def test_leaving_the_with_block_aborts(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b"))

        async def body() -> Any:
            return await reader.next(reader.iterator(run.values))

        assert await reader.inside(run, body) == {"x": 1, "log": []}
        assert await reader.all(run) == []

    reader.run(scenario())


def test_the_error_of_a_with_block_is_not_swallowed(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(row("a", "b"))

        async def body() -> None:
            raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await reader.inside(run, body)
        assert await reader.all(run) == []

    reader.run(scenario())


@pytest.mark.parametrize("is_last", [False, True])
def test_a_node_can_abort_its_run(reader: Reader, is_last: bool) -> None:
    runs: list[Any] = []
    ran: list[str] = []

    async def node() -> Any:
        await reader.abort(runs[0])
        await reader.abort(runs[0])
        ran.append("aborted")
        return {"log": ["aborted"]}

    async def scenario() -> None:
        after = [] if is_last else [lambda state: ran.append("after")]
        runs.append(await reader.open(row("a", reader.node(node), *after)))
        values = await reader.all(runs[0].values)

        assert logs(values)[:2] == [[], ["a"]]
        assert ran == ["aborted"]
        assert (await reader.output(runs[0]))["log"][0] == "a"

    reader.run(scenario())


def test_a_node_beside_others_can_abort_its_run(reader: Reader) -> None:
    runs: list[Any] = []

    async def node() -> Any:
        await reader.abort(runs[0])

    async def scenario() -> None:
        runs.append(await reader.open(row(at_once(reader.node(node), "b"), "after")))
        values = await reader.all(runs[0].values)
        assert "after" not in values[-1]["log"]

    reader.run(scenario())


@pytest.mark.parametrize("hook", ["process", "finalize"])
def test_a_transformer_can_abort_its_run(reader: Reader, hook: str) -> None:
    runs: list[Any] = []

    class Own(StreamTransformer):
        required_stream_modes = ("values",)

        def init(self) -> dict[str, Any]:
            return {}

        def process(self, event: Any) -> bool:
            return True

    def abort(self: Any, *event: Any) -> bool:
        runs[0].abort()
        return True

    async def aabort(self: Any, *event: Any) -> bool:
        await runs[0].abort()
        return True

    setattr(Own, f"a{hook}" if reader.is_async else hook, aabort if reader.is_async else abort)

    async def scenario() -> None:
        runs.append(await reader.open(row("a", "b"), Own))
        values = await reader.all(runs[0].values)
        assert logs(values) == ([[]] if hook == "process" else [[], ["a"], ["a", "b"]])

    reader.run(scenario())


def test_a_transformer_can_abort_a_run_that_is_being_aborted(reader: Reader) -> None:
    runs: list[Any] = []
    ended: list[str] = []

    class Own(StreamTransformer):
        required_stream_modes = ("values",)

        def init(self) -> dict[str, Any]:
            return {}

        def process(self, event: Any) -> bool:
            return True

    def finalize(self: Any) -> None:
        runs[0].abort()
        ended.append("ended")

    async def afinalize(self: Any) -> None:
        await runs[0].abort()
        ended.append("ended")

    if reader.is_async:
        Own.afinalize = afinalize  # type: ignore[method-assign]
    else:
        Own.finalize = finalize  # type: ignore[method-assign]

    async def scenario() -> None:
        runs.append(await reader.open(row("a", "b"), Own))
        await reader.next(reader.iterator(runs[0].values))
        await reader.abort(runs[0])
        assert ended == ["ended"]

    reader.run(scenario())


def test_a_saved_run_that_was_aborted_goes_on_later(reader: Reader) -> None:
    async def scenario() -> None:
        graph = row("a", "b", "c", checkpointer=InMemorySaver())
        run = await reader.open(graph, config=THREAD, durability="sync")
        values = reader.iterator(run.values)
        await reader.next(values)
        await reader.next(values)
        await reader.abort(run)

        run = await reader.open(graph, config=THREAD, given=None)
        assert (await reader.output(run))["log"] == ["a", "b", "c"]

    reader.run(scenario())


# -- abort, threads ------------------------------------------------------------------------------


def test_a_sync_abort_waits_for_what_runs_in_another_thread() -> None:
    reader = Reader()
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def node(state: Any) -> Any:
        begun.set()
        may_end.wait()
        ended.set()
        return {"log": ["ended"]}

    async def scenario() -> None:
        run = await reader.open(row(node, "after"))
        values = reader.iterator(run.values)

        async def stop() -> bool:
            begun.wait()
            opener = threading.Timer(0.02, may_end.set)
            opener.start()
            run.abort()
            opener.join()
            return ended.is_set()

        seen, was_over = await reader.together(reader.all(values), stop())
        assert was_over
        assert logs(seen) in ([[]], [[], ["ended"]])

    reader.run(scenario())


def test_many_threads_can_abort_one_run() -> None:
    reader = Reader()

    async def scenario() -> None:
        for _ in range(20):
            run = await reader.open(row("a", row("b", "c"), *["d"]), steps())
            values = reader.iterator(run.values)
            results = await reader.together(
                reader.all(values), *[reader.abort(run) for _ in range(4)], reader.output(run)
            )
            assert results[1:5] == [None] * 4
            assert isinstance(results[0], list)

    reader.run(scenario())


# -- abort, async --------------------------------------------------------------------------------


async def opened(situation: Situation) -> tuple[Any, asyncio.Task[Any]]:
    """Return a run in which everything that shall run has begun, and the task that reads it."""
    run = await situation.graph.astream_events(
        {"x": 1}, situation.config, version="v3", transformers=[CustomTransformer]
    )
    reader = AsyncReader()
    reading = asyncio.create_task(reader.all(run))
    await reader.until(lambda: situation.watch.begun == situation.running)
    return run, reading


@pytest.mark.parametrize("situate", SITUATIONS)
def test_an_abort_returns_when_everything_has_stopped(situate: Any) -> None:
    situation = situate(Watch())

    async def scenario() -> None:
        run, reading = await opened(situation)
        await run.abort()
        assert situation.watch.ended == situation.watch.begun == situation.running
        await reading
        await run.output()

    AsyncReader().run(scenario())


@pytest.mark.parametrize("situate", SITUATIONS)
def test_a_cancelled_reader_goes_on_when_everything_has_stopped(situate: Any) -> None:
    situation = situate(Watch())

    async def scenario() -> None:
        _, reading = await opened(situation)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert situation.watch.ended == situation.watch.begun == situation.running

    AsyncReader().run(scenario())


@pytest.mark.parametrize("times", [1, 3])
def test_an_abort_is_not_cut_short_by_cancellations(times: int) -> None:
    reader = AsyncReader()
    doing = Doing(turns=30)

    async def scenario() -> None:
        run = await reader.open(row("a", row(doing)))
        reading = asyncio.create_task(reader.all(run))
        await reader.until(lambda: doing.begun == 1)
        stopping = asyncio.create_task(run.abort())
        for _ in range(times):
            for _ in range(3):
                await asyncio.sleep(0)
            assert doing.stopped == 0
            stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert doing.stopped == 1
        await reading

    reader.run(scenario())


def test_an_abort_works_in_a_task_that_has_been_cancelled() -> None:
    reader = AsyncReader()
    doing = Doing()

    async def scenario() -> None:
        run = await reader.open(row(at_once(doing, doing)))
        reading = asyncio.create_task(reader.all(run))
        await reader.until(lambda: doing.begun == 2)

        async def stop() -> int:
            try:
                await asyncio.Event().wait()
            finally:
                await run.abort()
                assert doing.stopped == 2

        stopping = asyncio.create_task(stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert doing.stopped == 2
        await reading

    reader.run(scenario())


def test_aborts_at_the_same_time_all_wait() -> None:
    reader = AsyncReader()
    doing = Doing(turns=10)

    async def scenario() -> None:
        run = await reader.open(row(doing))
        reading = asyncio.create_task(reader.all(run))
        await reader.until(lambda: doing.begun == 1)

        async def stop() -> int:
            await run.abort()
            return doing.stopped

        assert await asyncio.gather(*[stop() for _ in range(5)]) == [1] * 5
        await reading

    reader.run(scenario())


def test_an_abort_stops_graphs_that_nodes_call() -> None:
    reader = AsyncReader()
    doing = Doing()
    inner = row("a", doing)

    async def call(state: State) -> Any:
        return await inner.ainvoke({"x": 1})

    async def read(state: State) -> None:
        run = await inner.astream_events({"x": 1}, version="v3")
        await run.output()

    async def scenario() -> None:
        run = await reader.open(at_once(call, read, row(call)))
        reading = asyncio.create_task(reader.all(run))
        await reader.until(lambda: doing.begun == 3)
        await run.abort()
        assert doing.stopped == 3
        await reading

    reader.run(scenario())


def test_an_abort_stops_a_transformer_that_swallows_its_cancellation() -> None:
    reader = AsyncReader()
    waiting = asyncio.Event()
    ran: list[str] = []

    class Stubborn(StreamTransformer):
        required_stream_modes = ("values",)

        def init(self) -> dict[str, Any]:
            return {}

        async def aprocess(self, event: Any) -> bool:
            waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ran.append("swallowed")
            return True

    async def scenario() -> None:
        run = await reader.open(row("a", "b"), Stubborn)
        reading = asyncio.create_task(reader.all(run))
        await waiting.wait()
        await run.abort()
        assert ran == ["swallowed"]
        assert len(await reading) <= 1

    reader.run(scenario())


def test_a_run_that_is_ending_can_be_aborted() -> None:
    reader = AsyncReader()
    ending = asyncio.Event()
    ended: list[str] = []

    class Slow(StreamTransformer):
        def init(self) -> dict[str, Any]:
            return {}

        def process(self, event: Any) -> bool:
            return True

        async def afinalize(self) -> None:
            ending.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("slow")

    class Last(Slow):
        async def afinalize(self) -> None:
            ended.append("last")

    async def scenario() -> None:
        run = await reader.open(row("a"), Slow, Last)
        reading = asyncio.create_task(reader.all(run.values))
        await ending.wait()
        await run.abort()
        assert ended == ["slow", "last"]
        assert len(await reading) == 2

    reader.run(scenario())


def test_what_cannot_be_saved_is_told_by_the_abort() -> None:
    """An error of stopping is not lost."""
    reader = AsyncReader()
    doing = Doing()

    class Broken(InMemorySaver):
        async def aput(self, *given: Any) -> Any:
            raise OSError("disk full")

    async def scenario() -> None:
        graph = row(doing, checkpointer=Broken())
        run = await reader.open(graph, config=THREAD, durability="exit")
        reading = asyncio.create_task(reader.all(run))
        await reader.until(lambda: doing.begun == 1)
        with pytest.raises(OSError, match="disk full"):
            await run.abort()
        assert doing.stopped == 1
        await reading

    reader.run(scenario())


# -- cancelled readers ---------------------------------------------------------------------------


def test_other_readers_go_on_when_one_is_cancelled() -> None:
    reader = AsyncReader()
    gate = asyncio.Event()

    async def node(state: State) -> Any:
        await gate.wait()
        return {"log": ["waited"]}

    async def scenario() -> None:
        run = await reader.open(row("a", node, "b"), steps())
        tasks = [
            asyncio.create_task(work)
            for work in (reader.all(run.values), reader.all(run), reader.output(run))
        ]
        await reader.until(lambda: len(run._mux.pump._waiting) == 3)
        for task in tasks[:2]:
            task.cancel()
        await asyncio.gather(*tasks[:2], return_exceptions=True)
        assert all(task.cancelled() for task in tasks[:2])
        gate.set()

        assert (await tasks[2])["log"] == ["a", "waited", "b"]

    reader.run(scenario())


def test_a_reader_who_is_busy_counts_as_another() -> None:
    """The run waits for it, and is there when it comes back."""
    reader = AsyncReader()
    doing = asyncio.Event()
    gate = asyncio.Event()

    async def node(state: State) -> Any:
        await gate.wait()
        return {"log": ["waited"]}

    async def scenario() -> None:
        run = await reader.open(row("a", node))

        async def busy() -> list[Any]:
            values = reader.iterator(run.values)
            first = await reader.next(values)
            await doing.wait()
            return [first, *await reader.all(values)]

        mine = asyncio.create_task(busy())
        other = asyncio.create_task(reader.all(run))
        await reader.until(lambda: len(run._mux.pump._waiting) == 1)
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
        gate.set()
        doing.set()

        assert logs(await mine) == [[], ["a"], ["a", "waited"]]

    reader.run(scenario())


@pytest.mark.parametrize("read", ["output", "values", "log", "interleave", "handle", "message"])
def test_the_only_reader_stops_the_run_when_it_is_cancelled(read: str) -> None:
    reader = AsyncReader()
    doing = Doing()

    async def scenario() -> None:
        from langchain_core.language_models import GenericFakeChatModel
        from langchain_core.messages import AIMessage

        model = GenericFakeChatModel(messages=iter([AIMessage("one two")]))

        async def talk(state: State) -> None:
            await model.ainvoke("hello")
            await doing(state)

        nodes = [talk] if read == "message" else [row("b", doing)]
        run = await reader.open(row("a", *nodes), steps())

        async def work() -> None:
            if read == "output":
                await run.output()
            elif read == "handle":
                async for handle in run.subgraphs:
                    await reader.all(handle.values)
            elif read == "message":
                async for message in run.messages:
                    await message.output
                    await message.output
                    break
                await run.output()
            else:
                await reader.all(
                    {
                        "values": run.values,
                        "log": run,
                        "interleave": run.interleave("steps", "values"),
                    }[read]
                )

        reading = asyncio.create_task(work())
        await reader.until(lambda: doing.begun == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert doing.stopped == 1
        assert await reader.all(run.lifecycle) == []
        assert (await run.output())["log"] == ["a"]

    reader.run(scenario())


def test_a_reader_cancelled_twice_still_leaves_nothing() -> None:
    reader = AsyncReader()
    doing = Doing(turns=30)

    async def scenario() -> None:
        run = await reader.open(row(doing))
        reading = asyncio.create_task(reader.all(run))
        await reader.until(lambda: doing.begun == 1)
        reading.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert doing.stopped == 1

    reader.run(scenario())


def test_readers_cancelled_together_leave_nothing() -> None:
    reader = AsyncReader()
    doing = Doing()

    async def scenario() -> None:
        run = await reader.open(row("a", doing), steps())

        async def work() -> None:
            await asyncio.gather(
                reader.all(run), reader.all(run.values), reader.output(run), reader.output(run)
            )

        reading = asyncio.create_task(work())
        await reader.until(lambda: doing.begun == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await reader.until(lambda: len(asyncio.all_tasks()) == 1)
        assert doing.stopped == 1

    reader.run(scenario())


def test_a_reader_that_runs_out_of_time_stops_the_run() -> None:
    reader = AsyncReader()
    doing = Doing()

    async def scenario() -> None:
        run = await reader.open(row("a", doing))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(run.output(), 0.02)
        assert doing.begun == doing.stopped == 1

    reader.run(scenario())


def test_a_node_that_is_cancelled_stops_the_run_it_reads() -> None:
    """A superstep that fails stops the run streams of the other nodes."""
    reader = AsyncReader()
    doing = Doing()
    inner = row(doing)

    async def read(state: State) -> None:
        async with await inner.astream_events({"x": 1}, version="v3") as run:
            await run.output()

    async def fail(state: State) -> None:
        await reader.until(lambda: doing.begun == 1)
        raise ValueError("no")

    async def scenario() -> None:
        run = await reader.open(at_once(read, fail))
        with pytest.raises(ValueError, match="no"):
            await run.output()
        assert doing.stopped == 1

    reader.run(scenario())


def test_a_dropped_run_stops_its_nodes() -> None:
    reader = AsyncReader()
    doing = Doing()

    async def begin() -> None:
        def speak(state: State) -> Any:
            get_stream_writer()("said")
            return {"log": ["said"]}

        builder = StateGraph(State)
        for name, node in {"speak": speak, "doing": doing}.items():
            builder.add_node(name, node)
            builder.add_edge(START, name)
        run = await reader.open(builder.compile(), CustomTransformer)
        async for _ in run.custom:
            break
        await reader.until(lambda: doing.begun == 1)

    async def scenario() -> None:
        await begin()
        await reader.until(lambda: len(asyncio.all_tasks()) == 2)
        gc.collect()
        await reader.until(lambda: doing.stopped == 1)
        await reader.until(lambda: len(asyncio.all_tasks()) == 1)

    reader.run(scenario())
