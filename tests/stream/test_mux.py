"""The event log and the transformers: ids, numbers, order, hooks and their errors."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from millstream._base import clock
from millstream.stream import StreamChannel, StreamMux, StreamTransformer
from stream.reading import AsyncReader, Reader, Steps, fail, row, say, steps

pytestmark = pytest.mark.timeout(20)


class Watching(StreamTransformer):
    """Notes what it is told, with its scope."""

    required_stream_modes: ClassVar[tuple[str, ...]] = ("values",)
    told: ClassVar[list[Any]]

    def init(self) -> dict[str, Any]:
        return {}

    def process(self, event: Any) -> bool:
        if event["method"] == "values":
            self.told.append((len(self.scope), "values"))
        return True

    def finalize(self) -> None:
        self.told.append((len(self.scope), "finalize"))

    def fail(self, err: BaseException) -> None:
        self.told.append((len(self.scope), repr(err)))


def watching(**members: Any) -> type[Watching]:
    """Return a fresh `Watching` with these members instead."""
    return type("Own", (Watching,), {"told": [], **members})


def three_deep() -> Any:
    return row("a", row(row("leaf")), "z")


# -- the log -------------------------------------------------------------------------------------


def test_every_event_has_an_id_of_its_own(reader: Reader) -> None:
    async def scenario() -> None:
        logs = [
            await reader.all(await reader.open(three_deep(), steps(name="steps"))) for _ in range(2)
        ]
        ids = [event["event_id"] for log in logs for event in log]
        assert len(ids) == len(set(ids)) > 20
        assert all(isinstance(each, str) for each in ids)

    reader.run(scenario())


def test_seq_is_dense_from_one_and_in_order(reader: Reader) -> None:
    async def scenario() -> None:
        log = await reader.all(await reader.open(three_deep(), steps(name="steps")))
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))

    reader.run(scenario())


def test_seq_is_dense_where_events_are_kept_out(reader: Reader) -> None:
    def process(self: Watching, event: Any) -> bool:
        return bool(event["params"]["namespace"])

    async def scenario() -> None:
        log = await reader.all(await reader.open(three_deep(), watching(process=process)))
        assert all(event["params"]["namespace"] or event["method"] == "lifecycle" for event in log)
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1)) != []

    reader.run(scenario())


def test_logs_of_nested_graphs_show_the_same_events(reader: Reader) -> None:
    async def scenario() -> None:
        run = await reader.open(three_deep())
        log = reader.iterator(run)
        handle = await reader.next(reader.iterator(run.subgraphs))
        inner = await reader.all(handle)
        events = {event["event_id"]: event for event in await reader.all(log)}

        shared = [event for event in inner if event["method"] != "lifecycle"]
        assert len(shared) == 4
        assert all(events[event["event_id"]] is event for event in shared)
        numbers = [event["seq"] for event in shared]
        assert numbers == sorted(numbers)
        # Its own lifecycle events are not those of the run.
        own = [event["event_id"] for event in inner if event["method"] == "lifecycle"]
        assert len(own) == len(set(own)) == 2
        assert not events.keys() & set(own)

    reader.run(scenario())


def test_logs_of_nested_graphs_show_events_that_are_numbered() -> None:
    """Also while a later transformer still waits."""
    reader = AsyncReader()

    async def aprocess(self: Watching, event: Any) -> bool:
        for _ in range(5):
            await asyncio.sleep(0)
        return True

    async def scenario() -> None:
        run = await reader.open(row(row("a", "b")), watching(aprocess=aprocess))
        handle = await reader.next(reader.iterator(run.subgraphs))
        # Now, not later: the run's own log numbers the same object.
        seen = ["seq" in event async for event in handle]
        assert seen == [True] * 3
        await reader.output(run)

    reader.run(scenario())


def test_forwarded_items_come_after_their_cause(reader: Reader) -> None:
    async def scenario() -> None:
        log = await reader.all(await reader.open(row("a", "b"), steps(name="steps")))
        assert [event["method"] for event in log] == ["values", "custom:steps"] * 3
        assert [event["params"]["data"] for event in log[1::2]] == [0, 1, 2]
        assert [event["params"]["namespace"] for event in log[1::2]] == [[]] * 3

    reader.run(scenario())


def test_events_have_the_time_of_the_run_whoever_reads_them(reader: Reader) -> None:
    class Clock(clock.Clock):
        def timestamp(self) -> float:
            return 12.0

    async def scenario() -> None:
        with clock.given(Clock()):
            run = await reader.open(row(row("a")), steps(name="steps"))
        log = await reader.all(run)
        assert {event["method"] for event in log} == {"values", "lifecycle", "custom:steps"}
        assert {event["params"]["timestamp"] for event in log} == {12_000}

    reader.run(scenario())


def test_items_forwarded_by_an_event_that_failed_are_in_the_log(reader: Reader) -> None:
    def process(self: Steps, event: Any) -> bool:
        self.channel.push(1)
        raise ValueError("no")

    async def scenario() -> None:
        own = type("Own", (Steps,), {"name": "steps", "process": process})
        run = await reader.open(row("a"), own)
        *log, error = await reader.until_error(run)

        assert [event["method"] for event in log] == ["custom:steps"]
        assert repr(error) == "ValueError('no')"

    reader.run(scenario())


def test_the_log_can_be_fanned_out_by_several_named_channels(reader: Reader) -> None:
    class Native(Steps):
        _native = True
        name = "steps"

    async def scenario() -> None:
        run = await reader.open(row("a"), Native)
        assert run.steps is run.extensions["steps"]
        assert [event["method"] for event in await reader.all(run)] == ["values", "steps"] * 2

    reader.run(scenario())


# -- registration --------------------------------------------------------------------------------


def test_transformers_come_from_the_graph_and_from_the_call(reader: Reader) -> None:
    compiled, called = watching(), watching()
    called.told = compiled.told

    def process(self: Watching, event: Any) -> bool:
        if event["method"] == "values":
            self.told.append("called")
        return True

    called.process = process  # type: ignore[method-assign]

    async def scenario() -> None:
        graph = row("a", transformers=[compiled])
        await reader.output(await reader.open(graph, called))
        assert compiled.told[:4] == [(0, "values"), "called"] * 2

    reader.run(scenario())


def test_some_want_to_be_before_the_built_in_ones(reader: Reader) -> None:
    """What they change, the projections show."""

    def process(self: Watching, event: Any) -> bool:
        event["params"]["data"] = {"log": ["changed"]}
        return True

    async def scenario() -> None:
        early = watching(process=process, before_builtins=True)
        run = await reader.open(row("a"), early)
        assert await reader.all(run.values) == [{"log": ["changed"]}] * 2
        assert await reader.output(run) == {"log": ["changed"]}

    reader.run(scenario())


def test_a_transformer_is_made_for_every_nested_graph(reader: Reader) -> None:
    own = watching()

    async def scenario() -> None:
        await reader.output(await reader.open(three_deep(), own))
        assert {depth for depth, _ in own.told} == {0, 1, 2}
        # Each sees the events of its graph and of those below.
        values = [depth for depth, told in own.told if told == "values"]
        assert [values.count(depth) for depth in range(3)] == [8, 4, 2]
        assert [told for _, told in own.told].count("finalize") == 3

    reader.run(scenario())


async def hook(self: Any, *given: Any) -> bool:
    """Be any async hook."""
    return True


@pytest.mark.parametrize(
    "members",
    [{"requires_async": True}, {"aprocess": hook}, {"afinalize": hook}, {"afail": hook}],
    ids=["requires_async", "aprocess", "afinalize", "afail"],
)
def test_what_is_async_only_is_refused_in_a_sync_run(members: dict[str, Any]) -> None:
    own = watching(**members)
    with pytest.raises(RuntimeError, match="Own requires an async run"):
        row("a").stream_events({"x": 1}, version="v3", transformers=[own])


def test_what_supports_sync_is_not_refused() -> None:
    async def afinalize(self: Watching) -> None:
        raise AssertionError("this is a sync run")

    own = watching(afinalize=afinalize, supports_sync=True)
    run = row("a").stream_events({"x": 1}, version="v3", transformers=[own])

    assert run.output["log"] == ["a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Steps(), "must be scope-aware callables, got pre-built instance Steps"),
        (5, "must be scope-aware callables, got int"),
        (watching(init=lambda self: []), r"init\(\) must return a dict, got list"),
    ],
)
def test_what_is_no_transformer_is_refused_at_once(
    reader: Reader, given: Any, message: str
) -> None:
    async def scenario() -> None:
        with pytest.raises(TypeError, match=message):
            await reader.open(row("a"), given)

    reader.run(scenario())


def test_projections_have_different_names(reader: Reader) -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match=r"'values' \(owned by ValuesTransformer\)"):
            await reader.open(row("a"), watching(init=lambda self: {"values": 1}))

    reader.run(scenario())


def test_a_transformer_that_looks_at_nothing_says_so(reader: Reader) -> None:
    class Blind(StreamTransformer):
        def init(self) -> dict[str, Any]:
            return {}

    async def scenario() -> None:
        run = await reader.open(row("a"), Blind)
        with pytest.raises(NotImplementedError, match=r"Blind must override process\(\)"):
            await reader.output(run)

    reader.run(scenario())


# -- hooks ---------------------------------------------------------------------------------------


def test_the_end_is_told_once(reader: Reader) -> None:
    own = watching()

    async def scenario() -> None:
        run = await reader.open(row("a"), own)
        await reader.output(run)
        await reader.output(run)
        await reader.abort(run)
        assert own.told == [(0, "values"), (0, "values"), (0, "finalize")]

    reader.run(scenario())


def test_a_failure_is_told_once(reader: Reader) -> None:
    own = watching()

    async def scenario() -> None:
        run = await reader.open(row(fail(ValueError("no"))), own)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await reader.output(run)
        await reader.abort(run)
        assert own.told == [(0, "values"), (0, "ValueError('no')")]

    reader.run(scenario())


def test_an_abort_completes_the_projections(reader: Reader) -> None:
    own = watching()

    async def scenario() -> None:
        run = await reader.open(row("a", "b"), own)
        await reader.next(reader.iterator(run.values))
        await reader.abort(run)
        assert own.told == [(0, "values"), (0, "finalize")]

    reader.run(scenario())


def test_what_finalize_pushes_is_read(reader: Reader) -> None:
    class Last(Steps):
        name = "steps"

        def finalize(self) -> None:
            self.channel.push(99)

    async def scenario() -> None:
        run = await reader.open(row("a"), Last)
        log = reader.iterator(run)

        assert await reader.all(run.extensions["steps"]) == [0, 1, 99]
        assert (await reader.all(log))[-1]["params"]["data"] == 99

    reader.run(scenario())


@pytest.mark.parametrize("hook", ["process", "finalize"])
def test_the_error_of_a_hook_is_the_runs(reader: Reader, hook: str) -> None:
    other = watching()

    def refuse(self: Any, *event: Any) -> bool:
        raise KeyError("hook")

    async def scenario() -> None:
        run = await reader.open(row("a"), watching(**{hook: refuse}), other)
        *values, error = await reader.until_error(run.values)

        assert len(values) == (1 if hook == "process" else 2)
        assert repr(error) == "KeyError('hook')"
        with pytest.raises(KeyError, match="hook"):
            await reader.output(run)
        # The others are told all the same.
        assert other.told[-1] == (0, "KeyError('hook')" if hook == "process" else "finalize")

    reader.run(scenario())


def test_the_error_of_a_hook_of_a_nested_graph_is_the_runs(reader: Reader) -> None:
    def finalize(self: Watching) -> None:
        if self.scope:
            raise KeyError("hook")

    async def scenario() -> None:
        run = await reader.open(row(row("a"), "b"), watching(finalize=finalize))
        with pytest.raises(KeyError, match="hook"):
            await reader.output(run)

    reader.run(scenario())


def test_the_error_of_fail_does_not_hide_the_runs(reader: Reader) -> None:
    other = watching()

    def refuse(self: Any, err: BaseException) -> None:
        raise KeyError("hook")

    async def scenario() -> None:
        graph = row(fail(ValueError("no")))
        run = await reader.open(graph, watching(fail=refuse), other)
        with pytest.raises(ValueError, match="no") as raised:
            await reader.output(run)
        assert other.told[-1] == (0, "ValueError('no')")
        notes = getattr(raised.value, "__notes__", None)
        assert notes is None or any("KeyError('hook')" in note for note in notes)

    reader.run(scenario())


def test_reading_the_run_inside_of_it_is_refused(reader: Reader) -> None:
    runs: list[Any] = []

    async def node() -> Any:
        try:
            await reader.output(runs[0])
        except RuntimeError as error:
            return {"log": [str(error)]}

    async def scenario() -> None:
        for options in ({}, {"max_concurrency": 1}):
            runs[:] = [await reader.open(row(reader.node(node)), config=options)]
            (said,) = (await reader.output(runs[0]))["log"]
            assert "would wait for itself" in said

    reader.run(scenario())


def test_reading_the_run_in_a_transformer_is_refused(reader: Reader) -> None:
    runs: list[Any] = []

    def process(self: Watching, event: Any) -> bool:
        next(iter(runs[0].values))
        return True

    async def aprocess(self: Watching, event: Any) -> bool:
        await anext(aiter(runs[0].values))
        return True

    async def scenario() -> None:
        hook = {"aprocess": aprocess} if reader.is_async else {"process": process}
        runs.append(await reader.open(row("a"), watching(**hook)))
        with pytest.raises(RuntimeError, match="would wait for itself"):
            await reader.output(runs[0])

    reader.run(scenario())


# -- async hooks ---------------------------------------------------------------------------------


def test_async_hooks_are_awaited_in_order() -> None:
    reader = AsyncReader()
    told: list[str] = []

    def hooks(name: str) -> type[Watching]:
        async def aprocess(self: Watching, event: Any) -> bool:
            await asyncio.sleep(0)
            if event["method"] == "values":
                told.append(f"{name} values")
            return True

        async def afinalize(self: Watching) -> None:
            await asyncio.sleep(0)
            told.append(f"{name} end")

        return watching(aprocess=aprocess, afinalize=afinalize)

    async def scenario() -> None:
        await reader.output(await reader.open(row("a"), hooks("1"), hooks("2")))
        assert told == ["1 values", "2 values"] * 2 + ["1 end", "2 end"]

    reader.run(scenario())


def test_afail_is_awaited() -> None:
    reader = AsyncReader()
    told: list[str] = []

    async def afail(self: Watching, err: BaseException) -> None:
        await asyncio.sleep(0)
        told.append(repr(err))

    async def scenario() -> None:
        run = await reader.open(row(fail(ValueError("no"))), watching(afail=afail))
        with pytest.raises(ValueError, match="no"):
            await reader.output(run)
        assert told == ["ValueError('no')"]

    reader.run(scenario())


def test_a_reader_who_comes_while_the_run_ends_sees_how() -> None:
    """Neither too early an end, nor an end instead of an error."""
    reader = AsyncReader()
    ending, may_end = asyncio.Event(), asyncio.Event()

    async def afail(self: Watching, err: BaseException) -> None:
        ending.set()
        await may_end.wait()

    async def scenario() -> None:
        run = await reader.open(row(fail(ValueError("no"))), watching(afail=afail))
        early = asyncio.create_task(reader.until_error(run.values))
        await ending.wait()
        late = asyncio.create_task(reader.until_error(run))
        output = asyncio.create_task(reader.output(run))
        await asyncio.sleep(0)
        may_end.set()

        assert repr((await early)[-1]) == repr((await late)[-1]) == "ValueError('no')"
        with pytest.raises(ValueError, match="no"):
            await output

    reader.run(scenario())


# -- scheduled work ------------------------------------------------------------------------------


def scheduling(work: Any, *, at: str = "process", on_error: str = "log") -> type[Watching]:
    """Return a transformer that schedules `work(transformer)` once, for the root graph."""
    done: list[Any] = []

    def start(self: Watching) -> None:
        if not self.scope and not done:
            done.append(self.schedule(work(self), on_error=on_error))  # type: ignore[arg-type]

    def process(self: Watching, event: Any) -> bool:
        if at == "process":
            start(self)
        return True

    async def end(self: Watching, *error: Any) -> None:
        start(self)

    def init(self: Watching) -> dict[str, Any]:
        self.late = StreamChannel()  # type: ignore[attr-defined]
        return {"late": self.late}  # type: ignore[attr-defined]

    hooks = {} if at == "process" else {at: end}
    return watching(init=init, process=process, requires_async=True, **hooks)


def test_the_run_ends_after_what_is_scheduled() -> None:
    reader = AsyncReader()
    gate = asyncio.Event()

    async def work(own: Any) -> None:
        await gate.wait()
        own.late.push("late")

    async def scenario() -> None:
        run = await reader.open(row("a"), scheduling(work))
        items = asyncio.create_task(reader.all(run.extensions["late"]))
        output = asyncio.create_task(reader.output(run))
        await reader.until(lambda: run._mux.pump._is_exhausted)
        late = asyncio.create_task(reader.output(run))
        await asyncio.sleep(0)
        assert not output.done()
        assert not late.done()
        gate.set()

        assert await items == ["late"]
        assert (await output) == (await late)

    reader.run(scenario())


@pytest.mark.parametrize("turns", [0, 3, 50], ids=["at once", "meanwhile", "after the last event"])
def test_a_scheduled_error_is_raised_at_the_end(turns: int) -> None:
    reader = AsyncReader()

    async def work(own: Any) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise KeyError("scheduled")

    async def scenario() -> None:
        run = await reader.open(row("a", "b"), scheduling(work, on_error="raise"))
        *values, error = await reader.until_error(run.values)

        assert len(values) == 3
        assert repr(error) == "KeyError('scheduled')"
        with pytest.raises(KeyError, match="scheduled"):
            await reader.output(run)

    reader.run(scenario())


def test_a_scheduled_error_of_a_nested_graph_is_raised_at_the_end() -> None:
    reader = AsyncReader()

    async def work() -> None:
        raise KeyError("scheduled")

    def process(self: Watching, event: Any) -> bool:
        if self.scope and not self.told:
            self.told.append(self.schedule(work(), on_error="raise"))
        return True

    async def scenario() -> None:
        own = watching(process=process, requires_async=True, finalize=lambda self: None)
        run = await reader.open(row(row("a"), "b"), own)
        with pytest.raises(KeyError, match="scheduled"):
            await reader.output(run)

    reader.run(scenario())


def test_a_scheduled_error_beside_that_of_the_run_is_noted() -> None:
    reader = AsyncReader()

    async def work(own: Any) -> None:
        raise KeyError("scheduled")

    async def scenario() -> None:
        graph = row("a", fail(ValueError("no")))
        run = await reader.open(graph, scheduling(work, on_error="raise"))
        with pytest.raises(ValueError, match="no") as raised:
            await reader.output(run)
        notes = getattr(raised.value, "__notes__", None)
        assert notes is None or any("KeyError('scheduled')" in note for note in notes)

    reader.run(scenario())


def test_an_error_that_is_only_logged_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    reader = AsyncReader()

    async def work(own: Any) -> None:
        raise KeyError("scheduled")

    async def scenario() -> None:
        run = await reader.open(row("a"), scheduling(work))
        assert (await reader.output(run))["log"] == ["a"]

    reader.run(scenario())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("leave", ["fail", "abort"])
def test_what_is_scheduled_is_cancelled_when_the_run_does_not_end_well(leave: str) -> None:
    reader = AsyncReader()
    stopped: list[str] = []

    async def work(own: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            stopped.append("stopped")

    async def scenario() -> None:
        node = fail(ValueError("no")) if leave == "fail" else say("b")
        run = await reader.open(row("a", node), scheduling(work))
        if leave == "fail":
            with pytest.raises(ValueError, match="no"):
                await reader.output(run)
        else:
            await reader.next(reader.iterator(run.values))
            await asyncio.sleep(0)
            await run.abort()
        assert stopped == ["stopped"]

    reader.run(scenario())


@pytest.mark.parametrize("at", ["afinalize", "afail"])
def test_what_is_scheduled_at_the_end_does_not_outlive_the_run(at: str) -> None:
    reader = AsyncReader()

    async def work(own: Any) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def scenario() -> None:
        node = fail(ValueError("no")) if at == "afail" else say("a")
        run = await reader.open(row(node), scheduling(work, at=at))
        await reader.until_error(run.values)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    reader.run(scenario())


def test_what_a_nested_graph_schedules_does_not_hold_up_the_run() -> None:
    """It may wait for something that the run does later."""
    reader = AsyncReader()
    seen: list[Any] = []
    gate = asyncio.Event()

    async def open_gate(state: Any) -> Any:
        gate.set()
        return {"log": ["opened"]}

    async def work() -> None:
        await gate.wait()
        seen.append("done")

    def process(self: Watching, event: Any) -> bool:
        if self.scope and not self.told:
            self.told.append(self.schedule(work()))
        return True

    async def scenario() -> None:
        own = watching(process=process, requires_async=True, finalize=lambda self: None)
        run = await reader.open(row(row("a"), open_gate), own)
        assert (await reader.output(run))["log"] == ["a", "opened"]
        assert seen == ["done"]

    reader.run(scenario())


def test_what_a_nested_graph_schedules_is_cancelled_by_an_abort() -> None:
    reader = AsyncReader()
    stopped: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("stopped")

    def process(self: Watching, event: Any) -> bool:
        if self.scope and not self.told:
            self.told.append(self.schedule(work()))
        return True

    async def wait(state: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        own = watching(process=process, requires_async=True, finalize=lambda self: None)
        for graph in (row(row("a"), wait), row(row("a", wait))):
            own.told.clear()
            run = await reader.open(graph, own)
            reading = asyncio.create_task(reader.all(run))
            await reader.until(lambda: bool(own.told))
            for _ in range(20):
                await asyncio.sleep(0)
            await run.abort()
            await reading
        assert stopped == ["stopped"] * 2

    reader.run(scenario())


def test_scheduled_work_can_read_the_run_to_its_end() -> None:
    """The run cannot end before that work, so for it the run ends first."""
    reader = AsyncReader()
    seen: list[Any] = []

    async def work(own: Any) -> None:
        seen.extend(await reader.all(own._home.extensions["values"]))

    async def scenario() -> None:
        run = await reader.open(row("a", "b"), scheduling(work, on_error="raise"))
        assert (await reader.output(run))["log"] == ["a", "b"]
        assert [state["log"] for state in seen] == [["a"], ["a", "b"]]

    reader.run(scenario())


def test_scheduled_work_can_read_another_run_to_its_end() -> None:
    """For which it is a reader as any other."""
    reader = AsyncReader()
    seen: list[Any] = []

    async def late(own: Any) -> None:
        for _ in range(30):
            await asyncio.sleep(0)
        own.late.push("late")

    async def work(own: Any) -> None:
        inner = await reader.open(row("inner"), scheduling(late))
        seen.extend(await reader.all(inner.extensions["late"]))

    async def scenario() -> None:
        await reader.output(await reader.open(row("a"), scheduling(work, on_error="raise")))
        assert seen == ["late"]

    reader.run(scenario())


def test_scheduled_work_can_abort_the_run() -> None:
    reader = AsyncReader()
    runs: list[Any] = []

    async def work(own: Any) -> None:
        await runs[0].abort()

    async def wait(state: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        runs.append(await reader.open(row("a", wait), scheduling(work)))
        assert (await reader.output(runs[0]))["log"] in ([], ["a"])

    reader.run(scenario())


def test_scheduled_work_that_reads_a_failing_run_does_not_hide_the_error() -> None:
    """Though nobody else reads when that work is cancelled, which stops no run."""
    reader = AsyncReader()
    ended = asyncio.Event()

    async def work(own: Any) -> None:
        try:
            await reader.all(own._home.extensions["values"])
        finally:
            ended.set()

    async def scenario() -> None:
        run = await reader.open(row("a", "b", fail(ValueError("no"))), scheduling(work))
        log = reader.iterator(run)
        await reader.next(log)
        await reader.close(log)
        await ended.wait()
        with pytest.raises(ValueError, match="no"):
            await run.output()

    reader.run(scenario())


def test_scheduling_needs_an_event_loop() -> None:
    async def work() -> None:
        raise AssertionError("never begun")

    def process(self: Watching, event: Any) -> bool:
        self.schedule(work())
        return True

    run = row("a").stream_events({"x": 1}, version="v3", transformers=[watching(process=process)])
    with pytest.raises(RuntimeError, match="requires a running event loop"):
        _ = run.output


# -- a mux by itself -----------------------------------------------------------------------------


def event(data: Any = None, method: str = "values") -> Any:
    return {
        "type": "event",
        "method": method,
        "params": {"namespace": [], "timestamp": 0, "data": data},
    }


def test_a_mux_numbers_what_is_pushed() -> None:
    mux = StreamMux(factories=[steps(name="steps")])
    log = iter(mux._events)
    mux.push(event({"log": [1]}))
    mux.close()

    assert [(each["seq"], each["method"]) for each in log] == [(1, "values"), (2, "custom:steps")]


def test_a_mux_keeps_an_id_that_an_event_has() -> None:
    mux = StreamMux([])
    log = iter(mux._events)
    mux.push({**event(), "event_id": "mine"})
    mux.close()

    assert [each["event_id"] for each in log] == ["mine"]


def test_a_mux_is_read_through_a_pump_that_pushes() -> None:
    mux = StreamMux([Steps()])
    left = [3, 2, 1]

    def pump() -> bool:
        if left:
            mux.push(event({"log": [0] * left.pop()}))
        return bool(left)

    mux.bind_pump(pump)
    assert list(mux.extensions["steps"]) == [1, 2, 3]


def test_an_async_mux_is_read_through_a_pump_that_pushes() -> None:
    mux = StreamMux([Steps()], is_async=True)
    left = [3, 2, 1]

    async def pump() -> bool:
        if left:
            await mux.apush(event({"log": [0] * left.pop()}))
        return bool(left)

    async def read() -> list[int]:
        mux.bind_apump(pump)
        return [step async for step in mux.extensions["steps"]]

    assert asyncio.run(read()) == [1, 2, 3]


def test_a_mux_of_instances_has_no_children() -> None:
    with pytest.raises(RuntimeError, match="requires the mux to be constructed with `factories=`"):
        StreamMux([Steps()])._make_child(("n",))


def test_a_mux_knows_who_has_a_projection() -> None:
    own = Steps()
    mux = StreamMux([own])
    assert mux.transformer_by_key("steps") is own
    assert mux.transformer_by_key("other") is None


def test_closing_a_mux_raises_the_first_error_after_closing_everything() -> None:
    def refuse(self: Any) -> None:
        raise KeyError(type(self).__name__)

    first, second = (type(name, (Steps,), {"finalize": refuse}) for name in ("First", "Second"))
    second.init = lambda self: {"other": StreamChannel()}  # type: ignore[method-assign]
    mux = StreamMux([first(), second()])
    other = iter(mux.extensions["other"])

    with pytest.raises(KeyError, match="First"):
        mux.close()
    with pytest.raises(KeyError, match="First"):
        next(other)
