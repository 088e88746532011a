"""Run streams: the handles of nested graphs.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio

from differential.kit import Log, asay, thread, wire
from differential.programs.run_events_nested import (
    calling,
    leaf,
    note,
)
from differential.watching import later, opt_in, shown, tree, watched

ROWS = ("6.9:handles",)


def outer(e, reader, **options):
    """Return a graph with a child that has a child, and a child that is called."""
    middle = leaf(e, "m", low=leaf(e, "l"))
    nodes = {"a": ..., "mid": middle, "call": calling(reader, leaf(e, "i", "j")), "b": ...}
    return wire(e, Log, "START a mid call b END", **nodes).compile(**options)


async def facts(reader, handle):
    """Return what a handle shows at any time."""
    return [handle.path, handle.graph_name, handle.trigger_call_id, handle.status, handle.error]


@watched("run.subgraphs.handles", rows=ROWS)
async def handles(e, reader):
    """Handles when they come, and when the run has ended."""
    run = await reader.open(outer(e, reader), {"x": 1})
    found, kept = [], []
    async for handle in reader.each(run.subgraphs):
        found += [type(handle).__name__, await facts(reader, handle)]
        kept.append(handle)
    for handle in kept:
        found += [await facts(reader, handle), *map(shown, await reader.end(handle))]
        found += [await reader.all(getattr(handle, name)) for name in ("values", "subgraphs")]
    return [*found, shown(await reader.output(run))]


@watched("run.subgraphs.values", rows=(*ROWS, "6.9:snapshots"))
async def values(e, reader):
    async def read(handle):
        return later(e, await reader.all(handle.values, shown))

    return await tree(reader, await reader.open(outer(e, reader), {"x": 1}), read)


@watched("run.subgraphs.first_value", rows=("6.9:snapshots",), differs="children-start-first")
async def first_value(e, reader):
    async def read(handle):
        return await reader.all(handle.values, shown)

    return await tree(reader, await reader.open(outer(e, reader), {"x": 1}), read)


@watched("run.subgraphs.started_in_log", rows=("6.6:lifecycle",), differs="children-start-first")
async def started_in_log(e, reader):
    run = await reader.open(outer(e, reader), {"x": 1})
    return await reader.all(run, lambda event: [event["method"], event["params"]["namespace"]])


@watched("run.subgraphs.ended_in_log", rows=("6.6:lifecycle",), differs="own-end")
async def ended_in_log(e, reader):
    """The end of a child comes before what the task that called it tells."""
    ways = opt_in(e, "updates")
    run = await reader.open(outer(e, reader), {"x": 1}, transformers=ways)
    return await reader.all(run, lambda event: event["method"])


@watched("run.subgraphs.deep", rows=ROWS)
async def deep(e, reader):
    """A handle has the handles of its own children, and so on."""

    async def values(handle):
        return later(e, await reader.all(handle.values, shown))

    async def deeper(handle):
        return await tree(reader, handle, values)

    async def deepest(handle):
        return await tree(reader, handle, deeper)

    found = []
    for read in (deeper, deepest):
        graph = wire(e, Log, "START o END", o=outer(e, reader)).compile()
        found += await tree(reader, await reader.open(graph, {"x": 1}), read)
    return found


@watched("run.subgraphs.lifecycle", rows=ROWS)
async def lifecycle(e, reader):
    """A handle tells of what is below it."""

    async def read(handle):
        return await reader.all(handle.lifecycle, shown)

    graph = wire(e, Log, "START o END", o=outer(e, reader)).compile()
    return await tree(reader, await reader.open(graph, {"x": 1}), read)


@watched("run.subgraphs.raw", rows=ROWS)
async def raw(e, reader):
    """The log of a handle is that of its part of the tree."""

    async def read(handle):
        lines = await reader.log(handle)
        first = next(i for i, line in enumerate(lines) if str(line).startswith("values"))
        return lines if e.root == "langgraph" else lines[:first] + lines[first + 1 :]

    graph = wire(e, Log, "START o END", o=outer(e, reader)).compile()
    return await tree(reader, await reader.open(graph, {"x": 1}), read)


@watched("run.subgraphs.raw_envelope", rows=(*ROWS, "6.2:event"))
async def raw_envelope(e, reader):
    """Children number nothing; they show the numbers of the run, where there are some."""
    run = await reader.open(outer(e, reader), {"x": 1})

    def keys(event):
        return sorted(event.keys() - {"event_id"})

    found = []
    async for handle in reader.each(run.subgraphs):
        found += later(e, await reader.all(handle, keys))
    return sorted(found)


def talker(e):
    """Return a graph with a child, which both write custom items."""

    def talking(state, writer):
        writer({"item": len(state["log"])})
        return {"log": ["n"]}

    inner = wire(e, Log, "START i n END", i=..., n=talking).compile()
    graph = wire(e, Log, "START a sub END", a=talking, sub=inner)
    return graph.compile(checkpointer=e.saver())


@watched("run.subgraphs.optional", rows=(*ROWS, "6.5:scope"), differs="async-accessors-on-3.10")
async def optional(e, reader):
    """Transformers of the run are there for each child."""
    found = []
    for name in ("updates", "custom"):
        run = await reader.open(talker(e), {"x": 1}, thread(), transformers=opt_in(e, name))
        async for handle in reader.each(run.subgraphs):
            items = await reader.all(getattr(handle, name), shown)
            found.append([name, list(handle.extensions), items])
    return found


@watched("run.subgraphs.optional_later", rows=(*ROWS, "6.5:scope", "6.9:snapshots"))
async def optional_later(e, reader):
    """What they tell of a child once its first task is known."""
    first = {
        "checkpoints": lambda item: item["metadata"]["step"] > 0,
        "tasks": lambda item: item["name"] != "i" or "result" in item,
        "debug": lambda item: item["step"] > 1 or item["type"] == "task_result",
    }
    found = []
    for name, is_later in first.items():
        run = await reader.open(talker(e), {"x": 1}, thread(), transformers=opt_in(e, name))
        async for handle in reader.each(run.subgraphs):
            kept = [item async for item in reader.each(getattr(handle, name)) if is_later(item)]
            found.append([name, list(handle.extensions), *map(shown, kept)])
    return found


@watched("run.subgraphs.subscribed_at_once", rows=ROWS)
async def subscribed_at_once(e, reader):
    """Everything of a child that is subscribed to when it comes is told, whatever is read."""

    async def read(handle):
        names = ("updates", "lifecycle", "messages")
        iterators = [reader.iterator(getattr(handle, name)) for name in names]
        await reader.output(handle)
        return [await reader.all(iterator, shown) for iterator in iterators]

    ways = opt_in(e, "updates")
    return await tree(
        reader, await reader.open(outer(e, reader), {"x": 1}, transformers=ways), read
    )


@watched("run.subgraphs.drives", rows=ROWS)
async def drives(e, reader):
    """Reading a child drives the run, to where the child has ended."""
    ran = []

    def noting(name):
        def node(state):
            ran.append(name)
            return {"log": [name]}

        return node

    inner = wire(e, Log, "START i END", i=noting("i")).compile()
    graph = wire(e, Log, "START sub b c END", sub=inner, b=noting("b"), c=noting("c")).compile()
    run = await reader.open(graph, {"x": 1})
    handles = reader.iterator(run.subgraphs)
    [handle] = await reader.some(handles, 1)
    found = [len(later(e, await reader.all(handle.values)))]
    found += [handle.status, shown(await reader.output(handle)), "c" in ran]
    return [*found, shown(await reader.output(run)), await reader.all(handles)]


@watched("run.subgraphs.projections", rows=ROWS)
async def projections(e, reader):
    """What a handle has."""
    run = await reader.open(outer(e, reader), {"x": 1}, transformers=opt_in(e, "updates"))
    found = []
    async for handle in reader.each(run.subgraphs):
        found += [list(handle.extensions), type(handle.extensions).__name__]
        found += [hasattr(handle, name) for name in ("updates", "custom", "abort", "path")]
        found += [handle.values is handle.extensions["values"], handle.values is run.values]
        try:
            found.append(handle.nothing)
        except AttributeError as error:
            found.append(error)
    return found


@watched("run.subgraphs.second_reader", rows=(*ROWS, "6.4:channel"))
async def second_reader(e, reader):
    run = await reader.open(outer(e, reader), {"x": 1})
    found = []
    async for handle in reader.each(run.subgraphs):
        found.append(len(later(e, await reader.all(handle.values))))
        found.append(await reader.all(handle.values))
    return found


@watched("run.subgraphs.tee", rows=(*ROWS, "6.4:tee"))
async def tee(e, reader):
    run = await reader.open(outer(e, reader), {"x": 1})
    found = []
    async for handle in reader.each(run.subgraphs):
        branches = reader.tee(handle.values, 2)
        found += [later(e, await reader.all(branch, shown)) for branch in branches]
    return found


@watched("run.subgraphs.interleave", rows=(*ROWS, "6.7:interleave"), drivers=("sync",))
async def interleave(e, reader):
    run = await reader.open(outer(e, reader), {"x": 1}, transformers=opt_in(e, "updates"))
    found = []
    for handle in run.subgraphs:
        for kind, item in handle.interleave("updates", "lifecycle", "subgraphs"):
            # A child may end before its task does.
            if kind != "lifecycle" or item["event"] == "started":
                found.append([kind, item.graph_name if kind == "subgraphs" else shown(item)])
    return found


@watched("run.subgraphs.beside_lifecycle", rows=(*ROWS, "6.7:interleave"), drivers=("sync",))
async def beside_lifecycle(e, reader):
    """Handles come when the lifecycle says that a child has started."""
    run = await reader.open(outer(e, reader), {"x": 1})
    found = []
    for kind, item in run.interleave("subgraphs", "lifecycle"):
        depth = len(item.path) if kind == "subgraphs" else len(item["namespace"])
        if depth == 1:
            found.append([kind, item.status if kind == "subgraphs" else item["event"]])
    return found


@watched("run.subgraphs.together", rows=(*ROWS, "6.7:readers"), drivers=("async",))
async def together(e, reader):
    """Every child has its own task that reads it, while the run is read as well."""
    run = await reader.open(outer(e, reader), {"x": 1})
    reading = []

    async def watch(handle):
        values = later(e, await reader.all(handle.values, shown))
        return [handle.graph_name, values, handle.status, shown(await handle.output())]

    async def discover():
        async for handle in run.subgraphs:
            reading.append(asyncio.ensure_future(watch(handle)))

    results = await asyncio.gather(discover(), reader.all(run.values, shown), run.output())
    return [*results, *await asyncio.gather(*reading)]


@watched("run.subgraphs.parallel", rows=ROWS)
async def parallel(e, reader):
    """Children that run at the same time: each handle has what is its own."""
    nodes = {"s": note(e, "i", "j"), "t": note(e, "k", u=note(e, "l")), "n": ...}
    graph = wire(e, Log, "START s END", "START t END", "START n END", **nodes).compile()
    run = await reader.open(graph, {"x": 1})
    found = []
    async for handle in reader.each(run.subgraphs):
        values = reader.iterator(handle.values)
        found.append([handle.graph_name, handle, values])
    found.sort(key=lambda item: item[0])
    # The second may have begun before anybody knew of the first.
    return [
        [name, (await reader.all(values, shown))[-1:], handle.status, await reader.end(handle)]
        for name, handle, values in found
    ]


@watched("run.subgraphs.sent", rows=ROWS)
async def sent(e, reader):
    def route(state):
        return [e.types.Send("s", {"log": [n]}) for n in range(3)]

    graph = wire(e, Log, "START a", "s END", a=..., s=note(e, "i", "j"))
    graph.add_conditional_edges("a", route, ["s"])
    run = await reader.open(graph.compile(), {"x": 1})
    kept = [handle async for handle in reader.each(run.subgraphs)]
    found = [[handle.graph_name, handle.status, await reader.output(handle)] for handle in kept]
    return sorted(found, key=str)


@watched("run.subgraphs.looping", rows=ROWS)
async def looping(e, reader):
    def route(state):
        return "s" if len(state["log"]) < 4 else "__end__"

    graph = wire(e, Log, "START s", s=leaf(e, "i", "j"))
    graph.add_conditional_edges("s", route)

    async def read(handle):
        return later(e, await reader.all(handle.values, shown))

    return await tree(reader, await reader.open(graph.compile(), {"x": 1}), read)


@watched("run.subgraphs.async_nodes", rows=ROWS, drivers=("async",))
async def async_nodes(e, reader):
    inner = leaf(e, i=asay("i"), j=asay("j"))
    nodes = {"a": asay("a"), "sub": inner, "call": calling(reader, inner), "b": asay("b")}
    graph = wire(e, Log, "START a sub call b END", **nodes).compile()

    async def read(handle):
        return later(e, await reader.all(handle.values, shown))

    return await tree(reader, await reader.open(graph, {"x": 1}), read)


@watched("run.subgraphs.in_inner_run", rows=(*ROWS, "6.5:scope", "6.1:entry"))
async def in_inner_run(e, reader):
    """A node watches a graph: the handles of that graph's children."""
    inner = leaf(e, "i", sub=leaf(e, "j"), o=leaf(e, "k"))

    def node(state, config):
        run = inner.stream_events({"x": 5}, config, version="v3")
        return {"log": [[h.graph_name, len(h.path), h.output["log"]] for h in run.subgraphs]}

    async def anode(state, config):
        run = await inner.astream_events({"x": 5}, config, version="v3")
        return {
            "log": [
                [h.graph_name, len(h.path), (await h.output())["log"]] async for h in run.subgraphs
            ]
        }

    graph = wire(e, Log, "START watch END", watch=anode if reader.is_async else node).compile()
    watched_itself = await reader.output(await reader.open(graph, {"x": 1}))
    return [watched_itself, await reader.invoke(graph, {"x": 1})]
