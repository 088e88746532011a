"""Run streams: each projection by itself, the end of a run, and several readers at once.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import itertools

from differential.kit import Log, asay, fail, thread, wire
from differential.threads import asking
from differential.watching import caught, opt_in, shown, watched

NATIVE = ("values", "messages", "lifecycle", "subgraphs")
OPTIONAL = ("updates", "custom", "checkpoints", "tasks", "debug")
ROWS = ("6.7:projections",)


def talker(e, **options):
    """Return a graph that shows something in every projection but those of models and tools."""

    def node(state, writer):
        writer({"item": len(state["log"])})
        return {"log": ["n"]}

    inner = wire(e, Log, "START i n END", i=..., n=node).compile()
    return wire(e, Log, "START a n sub b END", a=..., n=node, sub=inner, b=...).compile(**options)


def three(e):
    """Return a, b and c in a row."""
    return wire(e, Log, "START a b c END", a=..., b=..., c=...).compile()


@watched("run.projections.each", rows=(*ROWS, "6.6:builtins"), differs="async-accessors-on-3.10")
async def each(e, reader):
    found = []
    for name in ("values", *OPTIONAL):
        graph = talker(e, checkpointer=e.saver())
        ways = opt_in(e, name) if name in OPTIONAL else ()
        run = await reader.open(graph, {"x": 1}, thread(), transformers=ways)
        found += [name, *await reader.all(getattr(run, name), shown), *await reader.end(run)]
    return found


@watched(
    "run.projections.all_at_once",
    rows=(*ROWS, "6.6:builtins", "6.7:readers"),
    differs="async-accessors-on-3.10",
)
async def all_at_once(e, reader):
    """Everything that is subscribed gets everything, whoever drives."""
    graph = talker(e, checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1}, thread(), transformers=opt_in(e))
    names = ("values", "messages", *OPTIONAL)
    iterators = {name: reader.iterator(getattr(run, name)) for name in names}
    found = [*await reader.end(run)]
    for name, iterator in iterators.items():
        found += [name, *await reader.all(iterator, shown)]
    return found


@watched("run.projections.lifecycle", rows=("6.6:lifecycle",))
async def lifecycle(e, reader):
    leaf = wire(e, Log, "START l END", l=...).compile()
    middle = wire(e, Log, "START m leaf END", m=..., leaf=leaf).compile()
    graph = wire(e, Log, "START a mid leaf END", a=..., mid=middle, leaf=leaf).compile()
    run = await reader.open(graph, {"x": 1})
    return await reader.all(run.lifecycle, shown)


@watched("run.projections.lifecycle_without_children", rows=("6.6:lifecycle",))
async def lifecycle_without_children(e, reader):
    run = await reader.open(three(e), {"x": 1})
    other = await reader.open(three(e), {"x": 1})
    return [await reader.all(run.lifecycle), await reader.all(other.subgraphs)]


@watched("run.projections.names", rows=(*ROWS, "6.5:extensions"))
async def names(e, reader):
    run = await reader.open(three(e), {"x": 1})
    more = await reader.open(three(e), {"x": 1}, transformers=opt_in(e))
    extensions = run.extensions
    found = [list(extensions), type(extensions).__name__, list(more.extensions)]
    found += [extensions[name] is getattr(run, name) for name in NATIVE]
    found += [type(getattr(run, name)).__name__ for name in NATIVE]
    found += [getattr(run, name).name for name in NATIVE]
    found += [getattr(more, name).name for name in OPTIONAL]
    found += [await caught(lambda: run.updates), await caught(lambda: run.nothing)]
    found += [
        await caught(lambda: more.nothing),
        hasattr(run, "values"),
        hasattr(run, "tool_calls"),
    ]
    found += [await caught(lambda: extensions.__setitem__("a", 1)), hasattr(run, "interleave")]
    return found[:-1] if reader.is_async else found


@watched("run.projections.output", rows=("6.7:end", "6.7:readers"))
async def output(e, reader):
    """Driving the run to its end: what nobody had subscribed to is gone."""
    run = await reader.open(three(e), {"x": 1})
    found = [shown(await reader.output(run)), *await reader.end(run)]
    for name in NATIVE:
        found.append(await reader.all(getattr(run, name)))
    return [*found, await reader.all(run)]


@watched("run.projections.output_of_nothing", rows=("6.7:end",))
async def output_of_nothing(e, reader):
    empty = wire(e, Log, "START a END", a=lambda state: None).compile()
    run = await reader.open(empty, {"log": []})
    return [*await reader.end(run), await reader.all(run.values)]


@watched(
    "run.projections.interrupted_first",
    rows=("6.7:end", "6.7:interrupts"),
    differs="async-accessors-on-3.10",
)
async def interrupted_first(e, reader):
    graph = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q?"))
    found = []
    for order in itertools.permutations(("output", "interrupted", "interrupts")):
        saved = graph.compile(checkpointer=e.saver())
        run = await reader.open(saved, {"x": 1}, thread())
        found.append([await getattr(reader, name)(run) for name in order])
        found.append(await reader.all(run.values))
    return found


@watched("run.projections.subscribed_before", rows=("6.7:readers", "6.4:channel"))
async def subscribed_before(e, reader):
    """A projection has what came after somebody subscribed, not what came before."""
    run = await reader.open(three(e), {"x": 1})
    events = reader.iterator(run)
    found = [await reader.some(events, 2)]
    values = reader.iterator(run.values)
    found = [len(found[0]), await reader.some(values, 1), await reader.output(run)]
    return [*found, await reader.all(values), await reader.all(events, lambda event: event["seq"])]


@watched("run.projections.second_reader", rows=("6.4:channel", "6.7:readers"))
async def second_reader(e, reader):
    run = await reader.open(three(e), {"x": 1})
    first = reader.iterator(run.values)
    found = [await reader.all(run.values)]
    found += [await caught(lambda: reader.tee(run.values, 2))]
    found += [await reader.some(first, 1), await reader.all(run.values), await reader.all(first)]
    return [*found, await reader.all(run.values), await reader.all(run, lambda event: event["seq"])]


@watched("run.projections.second_reader_of_log", rows=("6.4:channel", "6.7:readers"))
async def second_reader_of_log(e, reader):
    run = await reader.open(three(e), {"x": 1})
    first = reader.iterator(run)
    found = [len(await reader.some(first, 1))]
    second = await caught(lambda: reader.iterator(run))
    if isinstance(second, Exception):
        found.append(second)
    else:
        found.append(await reader.all(second, lambda event: event["seq"]))
    return [*found, await reader.all(first, lambda event: event["seq"])]


@watched("run.projections.wrong_driver", rows=("6.4:channel",))
async def wrong_driver(e, reader):
    run = await reader.open(three(e), {"x": 1})

    def iterate(source):
        return iter(source) if reader.is_async else source.__aiter__()

    found = [await caught(lambda: iterate(run.values)), await caught(lambda: iterate(run.messages))]
    found.append(await caught(lambda: type(iterate(run))))
    found.append(await caught(lambda: run.values.tee(2) if reader.is_async else None))
    return [*found, hasattr(run, "__iter__"), hasattr(run, "__aiter__"), *await reader.end(run)]


@watched("run.projections.tee", rows=("6.4:tee",))
async def tee(e, reader):
    found = []
    for count in (1, 2, 3):
        run = await reader.open(three(e), {"x": 1})
        branches = reader.tee(run.values, count)
        found += [type(branches).__name__, len(branches)]
        first = await reader.some(branches[-1], 1)
        found += [first, *[await reader.all(branch) for branch in branches]]
    run = await reader.open(three(e), {"x": 1})
    found += [await caught(lambda n=n: reader.tee(run.values, n)) for n in (0, -1)]
    return [*found, await reader.all(run.values)]


@watched(
    "run.projections.tee_of_an_error",
    rows=("6.4:tee", "6.7:errors"),
    differs="sync-tee-of-an-error",
)
async def tee_of_an_error(e, reader):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    run = await reader.open(graph, {"x": 1})
    branches = reader.tee(run.values, 2)
    return [await reader.all(branch) for branch in (*branches, run.messages)]


@watched("run.projections.atee_together", rows=("6.4:tee", "6.7:readers"), drivers=("async",))
async def atee_together(e, reader):
    run = await reader.open(three(e), {"x": 1})
    return list(await asyncio.gather(*map(reader.all, run.values.atee(3))))


@watched("run.projections.errors", rows=("6.7:errors",))
async def errors(e, reader):
    """Whatever is read raises the run's error, after what came before it."""
    inner = wire(e, Log, "START i bad END", i=..., bad=fail(ValueError("boom"))).compile()
    graph = wire(e, Log, "START a sub END", a=..., sub=inner).compile()
    found = []
    for name in ("values", "messages", "lifecycle", "updates", "tasks"):
        run = await reader.open(graph, {"x": 1}, transformers=opt_in(e, "updates", "tasks"))
        found += [name, await reader.all(getattr(run, name), shown)]
        again = [await reader.output(run) for _ in range(2)]
        found += [again, again[0] is again[1], *await reader.end(run)]
        found.append(await reader.all(run, shown))
    return found


@watched("run.projections.same_error", rows=("6.7:errors",))
async def same_error(e, reader):
    """It is the very exception that the node raised."""
    raised = []

    def node(state):
        raised.append(ValueError("no"))
        raise raised[0]

    run = await reader.open(wire(e, Log, "START n END", n=node).compile(), {"x": 1})
    found = [await reader.all(run.values), await reader.end(run)]
    return [found[0][-1] is raised[0], *(error is raised[0] for error in found[1]), *found]


@watched("run.projections.interleave", rows=("6.7:interleave",), drivers=("sync",))
async def interleave(e, reader):
    found = []
    for names in (("values",), ("values", "updates"), ("updates", "custom", "values", "tasks")):
        ways = opt_in(e, "updates", "custom", "tasks")
        run = await reader.open(talker(e), {"x": 1}, transformers=ways)
        found += [names, *await reader.all(run.interleave(*names), shown), *await reader.end(run)]
    return found


@watched("run.projections.interleave_stopped", rows=("6.7:interleave",), drivers=("sync",))
async def interleave_stopped(e, reader):
    """Who stops can go on with the channels."""
    run = await reader.open(three(e), {"x": 1}, transformers=opt_in(e, "updates"))
    items = run.interleave("values", "updates")
    found = [shown(next(items)), shown(next(items)), await reader.all(run.values)]
    items.close()
    return [*found, await reader.all(run.values), await reader.all(run.updates)]


@watched("run.projections.interleave_twice", rows=("6.7:interleave",), drivers=("sync",))
async def interleave_twice(e, reader):
    run = await reader.open(three(e), {"x": 1}, transformers=opt_in(e, "updates"))
    found = [shown(next(run.interleave("values")))]
    found += [await reader.all(run.interleave("values", "updates"), shown)]
    return [*found, await reader.all(run.interleave("values", "updates"), shown)]


@watched("run.projections.interleave_misused", rows=("6.7:interleave",), drivers=("sync",))
async def interleave_misused(e, reader):
    class Scalar(e.stream.StreamTransformer):
        def init(self):
            return {"number": 5}

        def process(self, event):
            return True

    async def tried(*names):
        run = await reader.open(three(e), {"x": 1}, transformers=[Scalar])
        return await reader.all(run.interleave(*names), shown)

    found = [await tried("nope"), await tried("values", "nope"), await tried("number")]
    found += [await tried(), await tried("values", "values")]
    run = await reader.open(three(e), {"x": 1})
    first = iter(run.values)
    found += [await reader.all(run.interleave("messages", "values"), shown), len(list(first))]
    run = await reader.open(three(e), {"x": 1})
    tried_twice = await reader.all(run.interleave("messages", "messages"), shown)
    return [*found, tried_twice, await reader.all(run.messages)]


@watched("run.projections.interleave_an_error", rows=("6.7:interleave", "6.7:errors"), drivers=(
    "sync",
))  # fmt: skip
async def interleave_an_error(e, reader):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e, "updates"))
    return [await reader.all(run.interleave("values", "updates"), shown), *await reader.end(run)]


@watched("run.projections.async_interleave", rows=("6.7:interleave",), differs="async-interleave")
async def async_interleave(e, reader):
    run = await reader.open(three(e), {"x": 1}, transformers=opt_in(e, "updates"))
    return await reader.all(run.interleave("values", "updates"), shown)


@watched("run.projections.abort", rows=("6.7:abort",))
async def abort(e, reader):
    run = await reader.open(three(e), {"x": 1})
    events = reader.iterator(run)
    values = reader.iterator(run.values)
    found = [len(await reader.some(events, 2))]
    await reader.abort(run)
    await reader.abort(run)
    found += [await reader.all(values), await reader.all(events, lambda event: event["seq"])]
    return [*found, *await reader.end(run), await reader.all(run.lifecycle)]


@watched("run.projections.abort_first", rows=("6.7:abort",))
async def abort_first(e, reader):
    """A run that has not begun never does."""
    ran = []
    graph = wire(e, Log, "START n END", n=lambda state: ran.append(1)).compile()
    run = await reader.open(graph, {"x": 1})
    await reader.abort(run)
    return [await reader.all(run.values), await reader.all(run), *await reader.end(run), ran]


@watched("run.projections.abort_at_the_end", rows=("6.7:abort",))
async def abort_at_the_end(e, reader):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    found = []
    for subject in (three(e), graph):
        run = await reader.open(subject, {"x": 1})
        found.append(await reader.all(run.values))
        await reader.abort(run)
        found += [*await reader.end(run), await reader.all(run)]
    return found


@watched("run.projections.with_statement", rows=("6.7:abort",))
async def with_statement(e, reader):
    run = await reader.open(three(e), {"x": 1})
    found = []
    if reader.is_async:
        async with run as entered:
            found += [entered is run, await reader.some(reader.iterator(run.values), 2)]
    else:
        with run as entered:
            found += [entered is run, await reader.some(reader.iterator(run.values), 2)]
    return [*found, await reader.all(run), *await reader.end(run)]


@watched("run.projections.with_and_error", rows=("6.7:abort", "6.7:errors"))
async def with_and_error(e, reader):
    """An error of the body goes through, and the run is left."""
    run = await reader.open(three(e), {"x": 1})

    async def body():
        if reader.is_async:
            async with run:
                await reader.some(reader.iterator(run), 1)
                raise KeyError("mine")
        with run:
            await reader.some(reader.iterator(run), 1)
            raise KeyError("mine")

    return [await caught(body), *await reader.end(run)]


@watched("run.projections.abort_stops_nodes", rows=("6.7:abort",), drivers=("async",))
async def abort_stops_nodes(e, reader):
    """A node that is running is cancelled, in nested graphs too."""
    seen = []
    running = asyncio.Event()

    async def slow(state):
        try:
            running.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    inner = wire(e, Log, "START slow END", slow=slow).compile()
    found = []
    for subject in (slow, inner):
        graph = wire(e, Log, "START a slow END", a=asay("a"), slow=subject).compile()
        run = await reader.open(graph, {"x": 1})
        running.clear()
        reading = asyncio.ensure_future(reader.all(run.values))
        await running.wait()
        await run.abort()
        found += [await asyncio.wait_for(reading, 5), list(seen), *await reader.end(run)]
    return found


@watched(
    "run.projections.together",
    rows=("6.7:readers",),
    drivers=("async",),
    differs="async-accessors-on-3.10",
)
async def together(e, reader):
    """Several tasks read; each sees all of its own."""
    run = await reader.open(talker(e), {"x": 1}, transformers=opt_in(e, "updates", "custom"))
    names = ("values", "updates", "custom", "lifecycle")
    reading = [reader.all(getattr(run, name), shown) for name in names]
    results = await asyncio.gather(*reading, reader.log(run), run.output(), run.interrupted())
    return list(results)


@watched("run.projections.together_with_an_error", rows=("6.7:readers", "6.7:errors"), drivers=(
    "async",
))  # fmt: skip
async def together_with_an_error(e, reader):
    graph = wire(e, Log, "START a bad END", a=asay("a"), bad=fail(ValueError("no"))).compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e, "updates"))
    names = ("values", "updates", "lifecycle")
    reading = [reader.all(getattr(run, name), shown) for name in names]
    return list(await asyncio.gather(*reading, reader.log(run), reader.output(run)))


@watched("run.projections.cancelled_only_reader", rows=("6.7:readers", "6.7:abort"), drivers=(
    "async",
))  # fmt: skip
async def cancelled_only_reader(e, reader):
    """The run stops with its only reader."""
    return await leaving(e, reader, others=0)


@watched("run.projections.cancelled_reader", rows=("6.7:readers", "6.7:abort"), drivers=(
    "async",
), differs="cancelled-reader")  # fmt: skip
async def cancelled_reader(e, reader):
    """Somebody else goes on reading, while the one that drove the run is cancelled."""
    return await leaving(e, reader, others=1)


async def leaving(e, reader, others):
    """Cancel the first of several readers while a node is running."""
    seen = []
    running, go_on = asyncio.Event(), asyncio.Event()

    async def slow(state):
        try:
            running.set()
            await go_on.wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return {"log": ["slow"]}

    graph = wire(e, Log, "START slow b END", slow=slow, b=asay("b")).compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e, "updates"))
    first = asyncio.ensure_future(reader.all(run.values))
    await running.wait()
    rest = [asyncio.ensure_future(reader.all(run.updates, shown)) for _ in range(others)]
    # Each gets as far as it can.
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    go_on.set()
    found = [await asyncio.wait_for(reading, 5) for reading in rest]
    return [first.cancelled(), *found, seen, await run.output()]


@watched("run.projections.keyboard_interrupt", rows=("6.7:errors",), drivers=("sync",))
async def keyboard_interrupt(e, reader):
    """What is no error goes through to the reader."""
    run = await reader.open(
        wire(e, Log, "START a stop END", a=..., stop=fail(KeyboardInterrupt())).compile(), {"x": 1}
    )
    found = []
    try:
        for value in run.values:
            found.append(shown(value))
    except KeyboardInterrupt as error:
        found.append(type(error).__name__)
    return found
