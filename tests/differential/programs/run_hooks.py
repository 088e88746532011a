"""Run streams: the hooks of transformers, in both drivers, and what they schedule.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio

from differential.kit import Log, fail, thread, wire
from differential.programs.run_events_nested import leaf
from differential.programs.run_transformers import counting, three
from differential.threads import asking
from differential.watching import caught, shown, watched

ROWS = ("6.5:hooks",)


@watched("run.transformers.finalize", rows=ROWS)
async def finalize(e, reader):
    """Hooks are called once, at the end; what they push is the last."""
    notes = []

    class Last(counting(e, notes)):
        def finalize(self):
            super().finalize()
            self.channel.push("last")

    found = []
    for subject in (three(e), wire(e, Log, "START a sub END", a=..., sub=leaf(e, "i")).compile()):
        run = await reader.open(subject, {"x": 1}, transformers=[Last])
        found.append(await reader.all(run.extensions["counts"]))
    return [*found, notes]


@watched("run.transformers.finalize_in_log", rows=ROWS)
async def finalize_in_log(e, reader):
    class Last(counting(e, name="counts")):
        def process(self, event):
            return True

        def finalize(self):
            self.channel.push("last")

    run = await reader.open(three(e), {"x": 1}, transformers=[Last])
    return await reader.log(run)


@watched(
    "run.transformers.finalize_fails",
    rows=(*ROWS, "6.3:close", "6.7:errors"),
    differs="async-finalize-errors",
)
async def finalize_fails(e, reader):
    """Everybody is closed; then the run has failed with the first error."""
    notes = []

    def failing(label):
        class Failing(e.stream.StreamTransformer):
            def init(self):
                return {}

            def process(self, event):
                return True

            def finalize(self):
                notes.append(label)
                raise ValueError(label)

        return Failing

    ways = [failing("first"), failing("second"), counting(e, notes)]
    run = await reader.open(three(e), {"x": 1}, transformers=ways)
    found = [await reader.all(run.values), *await reader.end(run)]
    return [*found, notes[:4]]


@watched("run.transformers.fail", rows=(*ROWS, "6.7:errors"))
async def fail_hook(e, reader):
    """A run that fails tells everybody, nested graphs as well."""
    notes = []
    inner = leaf(e, "i", bad=fail(ValueError("boom")))
    found = []
    for subject in (
        wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile(),
        wire(e, Log, "START a sub END", a=..., sub=inner).compile(),
    ):
        run = await reader.open(subject, {"x": 1}, transformers=[counting(e, notes)])
        found += [await reader.all(run.extensions["counts"]), await reader.output(run)]
        steady = [
            [line[0], *line[2:]] if line[0] in ("fail", "finalize") else line for line in notes
        ]
        # A child's error may have lost its type.
        found.append([[part for part in line if part != "RuntimeError"] for line in steady[:1]])
        found.append([line[0] for line in steady])
        notes.clear()
    return found


@watched("run.transformers.fail_fails", rows=(*ROWS, "6.7:errors"))
async def fail_fails(e, reader):
    """Errors of the hooks that are told of an error are nothing to the run."""
    notes = []

    class Failing(e.stream.StreamTransformer):
        def init(self):
            return {}

        def process(self, event):
            return True

        def fail(self, error):
            raise KeyError("in fail")

    graph = wire(e, Log, "START bad END", bad=fail(ValueError("no"))).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[Failing, counting(e, notes)])
    return [await reader.all(run.values), *await reader.end(run), notes]


@watched("run.transformers.process_fails", rows=(*ROWS, "6.3:push", "6.7:errors"))
async def process_fails(e, reader):
    """The run ends with the error."""
    notes, ran = [], []

    class Failing(e.stream.StreamTransformer):
        required_stream_modes = ("updates",)

        def init(self):
            return {}

        def process(self, event):
            if event["method"] == "updates" and "b" in event["params"]["data"]:
                raise KeyError("proc")
            return True

    def last(state):
        ran.append("d")

    graph = wire(e, Log, "START a b c d END", a=..., b=..., c=..., d=last).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[Failing, counting(e, notes)])
    found = [await reader.all(run.values, shown), *await reader.end(run), ran]
    return [*found, [line for line in notes if line[0] == "fail"]]


@watched("run.transformers.hooks_on_abort", rows=(*ROWS, "6.7:abort"))
async def hooks_on_abort(e, reader):
    notes = []
    run = await reader.open(three(e), {"x": 1}, transformers=[counting(e, notes)])
    await reader.some(reader.iterator(run.values), 2)
    await reader.abort(run)
    await reader.abort(run)
    return [[line[0] for line in notes], await reader.all(run.extensions["counts"])]


@watched(
    "run.transformers.hooks_on_question",
    rows=(*ROWS, "6.7:interrupts"),
    differs="async-accessors-on-3.10",
)
async def hooks_on_question(e, reader):
    """A question is no failure."""
    notes = []
    graph = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q?"))
    graph = graph.compile(checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1}, thread(), transformers=[counting(e, notes)])
    return [await reader.all(run.extensions["counts"]), notes]


@watched("run.transformers.async_hooks", rows=ROWS, drivers=("async",))
async def async_hooks(e, reader):
    notes = []

    class Slow(e.stream.StreamTransformer):
        required_stream_modes = ("updates",)

        def init(self):
            self.channel = e.stream.StreamChannel("slow")
            return {"slow": self.channel}

        async def aprocess(self, event):
            await asyncio.sleep(0)
            if event["method"] == "updates":
                self.channel.push(sorted(event["params"]["data"]))
            return event["method"] != "updates"

        async def afinalize(self):
            await asyncio.sleep(0)
            notes.append(["afinalize", [part.split(":")[0] for part in self.scope]])
            self.channel.push("last")

        async def afail(self, error):
            notes.append(["afail", str(error)])

    graph = wire(e, Log, "START a sub END", a=..., sub=leaf(e, "i")).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[Slow])
    found = [await reader.all(run.extensions["slow"])]
    run = await reader.open(three(e), {"x": 1}, transformers=[Slow])
    found.append(await reader.log(run))
    bad = wire(e, Log, "START bad END", bad=fail(ValueError("no"))).compile()
    run = await reader.open(bad, {"x": 1}, transformers=[Slow])
    return [*found, await reader.all(run.extensions["slow"]), notes]


@watched("run.transformers.async_only_in_sync", rows=("6.3:registration",), drivers=("sync",))
async def async_only_in_sync(e, reader):
    class Processing(e.stream.StreamTransformer):
        def init(self):
            return {}

        async def aprocess(self, event):
            return True

    class Finalizing(counting(e)):
        async def afinalize(self):
            pass

    class Failing(counting(e)):
        async def afail(self, error):
            pass

    class Declared(counting(e)):
        requires_async = True

    class Both(counting(e)):
        supports_sync = True

        async def aprocess(self, event):
            raise KeyError("not in sync")

    class Torn(Declared):
        supports_sync = True

    found = []
    for way in (Processing, Finalizing, Failing, Declared, Both, Torn):
        found.append(way.__name__)
        run = await caught(lambda way=way: three(e).stream_events(
            {"x": 1}, version="v3", transformers=[way]
        ))  # fmt: skip
        found.append(run if isinstance(run, Exception) else shown(run.output))
    return found


@watched("run.transformers.sync_in_async", rows=ROWS, drivers=("async",))
async def sync_in_async(e, reader):
    """Where there are both, the async one is called."""
    notes = []

    class Both(counting(e)):
        supports_sync = True

        def process(self, event):
            notes.append("process")
            return True

        async def aprocess(self, event):
            notes.append("aprocess")
            return True

        def finalize(self):
            notes.append("finalize")

    run = await reader.open(three(e), {"x": 1}, transformers=[Both])
    await run.output()
    return [sorted(set(notes)), notes[-1]]


@watched("run.transformers.neither", rows=(*ROWS, "6.7:errors"))
async def neither(e, reader):
    """A transformer that processes nothing."""

    class Neither(e.stream.StreamTransformer):
        def init(self):
            return {}

    run = await reader.open(three(e), {"x": 1}, transformers=[Neither])
    return [await reader.all(run.values), *await reader.end(run)]


@watched("run.transformers.abstract", rows=ROWS)
async def abstract(e, reader):
    class Bare(e.stream.StreamTransformer):
        def process(self, event):
            return True

    return [
        await caught(lambda: reader.open(three(e), {"x": 1}, transformers=[Bare])),
        await caught(lambda: e.stream.StreamTransformer()),
        [e.stream.StreamTransformer.requires_async, e.stream.StreamTransformer.supports_sync],
        [e.stream.StreamTransformer.required_stream_modes],
        [e.stream.StreamTransformer.before_builtins],
    ]


@watched("run.transformers.schedule", rows=("6.5:schedule",), drivers=("async",))
async def schedule(e, reader):
    """Work that goes on beside the run is done before it ends."""
    order = []

    class Scoring(e.stream.StreamTransformer):
        required_stream_modes = ("updates",)
        requires_async = True

        def init(self):
            self.channel = e.stream.StreamChannel("scores")
            return {"scores": self.channel}

        def process(self, event):
            if event["method"] == "updates":
                self.schedule(self.score(sorted(event["params"]["data"])))
            return True

        async def score(self, names):
            for _ in range(20):
                await asyncio.sleep(0)
            order.append(names)
            self.channel.push(names)

        def finalize(self):
            order.append("finalize")

    run = await reader.open(three(e), {"x": 1}, transformers=[Scoring])
    found = [await reader.all(run.extensions["scores"]), shown(await run.output())]
    run = await reader.open(three(e), {"x": 1}, transformers=[Scoring])
    events = await reader.all(run, lambda event: event["method"])
    return [*found, sorted(events), order]


@watched("run.transformers.schedule_returns", rows=("6.5:schedule",), drivers=("async",))
async def schedule_returns(e, reader):
    kept = []

    class Keeping(counting(e)):
        requires_async = True

        def process(self, event):
            if not kept:
                kept.append(self.schedule(asyncio.sleep(0, "slept")))
            return True

    run = await reader.open(three(e), {"x": 1}, transformers=[Keeping])
    await run.output()
    return [isinstance(kept[0], asyncio.Task), kept[0].done()]


@watched("run.transformers.schedule_logs", rows=("6.5:schedule",), drivers=("async",), logs=True)
async def schedule_logs(e, reader):
    """By default an error of scheduled work is not the run's."""
    run = await reader.open(three(e), {"x": 1}, transformers=[scheduling(e, failing_at_once)])
    return [shown(await reader.output(run)), await reader.interrupted(run)]


@watched("run.transformers.schedule_raises", rows=("6.5:schedule",), drivers=("async",))
async def schedule_raises(e, reader):
    """An error of work that goes on to the end of the run is the run's."""
    is_over = asyncio.Event()

    async def failing_late():
        await is_over.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        raise KeyError("scheduled")

    class Late(scheduling(e, failing_late, on_error="raise")):
        def process(self, event):
            if event["method"] == "values" and "c" in event["params"]["data"]["log"]:
                is_over.set()
            return super().process(event)

    run = await reader.open(three(e), {"x": 1}, transformers=[Late])
    return await reader.all(run.lifecycle)


@watched("run.transformers.schedule_raises_at_once", rows=("6.5:schedule",), drivers=(
    "async",
), differs="scheduled-errors")  # fmt: skip
async def schedule_raises_at_once(e, reader):
    way = scheduling(e, failing_at_once, on_error="raise")
    run = await reader.open(three(e), {"x": 1}, transformers=[way])
    return [*await reader.all(run.lifecycle), *await reader.end(run)]


@watched("run.transformers.schedule_misused", rows=("6.5:schedule",))
async def schedule_misused(e, reader):
    """There must be an event loop."""
    way = counting(e)
    transformer = way()
    work = asyncio.sleep(0)
    if reader.is_async:
        found = await caught(lambda: transformer.schedule(work, on_error="explode"))
        work.close()
        return found if isinstance(found, Exception) else "taken"
    found = await caught(lambda: transformer.schedule(work))
    work.close()
    return found


@watched("run.transformers.schedule_on_failure", rows=("6.5:schedule", "6.7:errors"), drivers=(
    "async",
))  # fmt: skip
async def schedule_on_failure(e, reader):
    """Scheduled work of a run that fails is cancelled, and waited for."""
    notes = []

    class Scheduling(counting(e)):
        requires_async = True

        def process(self, event):
            if event["method"] == "updates":
                self.schedule(self.work())
            return True

        async def work(self):
            try:
                await asyncio.Event().wait()
            finally:
                notes.append("stopped")

        async def afail(self, error):
            notes.append("afail")

    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    run = await reader.open(graph, {"x": 1}, transformers=[Scheduling])
    return [await reader.all(run.lifecycle), notes]


async def failing_at_once():
    """Fail before the run has ended."""
    raise KeyError("scheduled")


def scheduling(e, work, **options):
    """Return a transformer that schedules `work` once."""

    class Scheduling(e.stream.StreamTransformer):
        requires_async = True
        is_scheduled = False

        def init(self):
            return {}

        def process(self, event):
            if not self.is_scheduled:
                self.is_scheduled = True
                self.schedule(work(), **options)
            return True

    return Scheduling
