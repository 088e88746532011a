"""Run streams: how the handles of nested graphs end.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from differential.kit import Log, fail, thread, wire
from differential.programs.run_events_nested import (
    calling,
    catching,
    flow_with_child,
    leaf,
    retrying,
)
from differential.programs.run_subgraphs import facts
from differential.threads import asking
from differential.watching import later, shown, tree, watched

ROWS = ("6.9:handles",)


@watched("run.subgraphs.called_twice", rows=("6.9:handles",), differs="every-child")
async def called_twice(e, reader):
    graph = wire(e, Log, "START c END", c=calling(reader, leaf(e, "i"), leaf(e, "j"))).compile()
    run = await reader.open(graph, {"x": 1})
    kept = [handle async for handle in reader.each(run.subgraphs)]
    return [[*await facts(reader, handle), *await reader.end(handle)] for handle in kept]


@watched("run.subgraphs.stateful", rows=("6.9:stateful",), differs="every-child")
async def stateful(e, reader):
    inner = wire(e, Log, "START i END", i=...).compile(checkpointer=True)
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile(checkpointer=e.saver())

    async def read(handle):
        return later(e, await reader.all(handle.values, shown))

    return await tree(reader, await reader.open(graph, {"x": 1}, thread()), read)


@watched("run.subgraphs.stateful_values", rows=("6.9:stateful",))
async def stateful_values(e, reader):
    """What a stateful child holds, and which it is."""
    inner = wire(e, Log, "START i END", i=...).compile(checkpointer=True)
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile(checkpointer=e.saver())
    found = []
    for _ in range(2):
        run = await reader.open(graph, {"x": 1}, thread())
        async for handle in reader.each(run.subgraphs):
            found += [handle.path, handle.graph_name, handle.error]
            found += [later(e, await reader.all(handle.values, shown)), *await reader.end(handle)]
            found.append(handle.status)
    return found


@watched("run.subgraphs.in_a_task", rows=("6.9:tasks",), differs="every-child")
async def in_a_task(e, reader):
    async def read(handle):
        return await reader.all(handle.values, shown)

    return await tree(reader, await reader.open(flow_with_child(e, reader), 3), read)


@watched("run.subgraphs.failing", rows=("6.9:errors",), differs="child-errors")
async def failing(e, reader):
    return await reading_a_failure(e, reader, lambda error: error)


@watched("run.subgraphs.failing_text", rows=("6.9:errors",))
async def failing_text(e, reader):
    return await reading_a_failure(e, reader, str)


async def reading_a_failure(e, reader, show):
    """Return what a child that fails tells, with its errors as `show` shows them."""
    inner = leaf(e, "i", bad=fail(ValueError("boom")))
    graph = wire(e, Log, "START a sub END", a=..., sub=inner).compile()
    run = await reader.open(graph, {"x": 1})
    found = []
    try:
        async for handle in reader.each(run.subgraphs):
            found.append(later(e, [show(item) for item in await reader.all(handle.values, shown)]))
            found += [handle.status, handle.error, *map(show, await reader.end(handle))]
            found += [show(item) for item in await reader.all(handle.lifecycle)]
            found += [show(item) for item in await reader.all(handle)]
    except Exception as error:
        found.append(error)
    return found


@watched("run.subgraphs.failing_below", rows=("6.9:errors",))
async def failing_below(e, reader):
    """Each graph on the way has failed."""
    middle = leaf(e, "m", low=leaf(e, "l", bad=fail(ValueError("boom"))))
    graph = wire(e, Log, "START mid END", mid=middle).compile()
    run = await reader.open(graph, {"x": 1})
    found = []
    try:
        async for handle in reader.each(run.subgraphs):
            try:
                async for below in reader.each(handle.subgraphs):
                    found.append(list(map(str, await reader.all(below.messages))))
                    found.append([below.graph_name, below.status, below.error])
            except Exception as error:
                found.append(str(error))
            found.append([handle.graph_name, handle.status, handle.error])
    except Exception as error:
        found.append(error)
    return found


@watched("run.subgraphs.caught", rows=("6.9:errors",), differs="own-end")
async def caught(e, reader):
    """The node that called it goes on; the child has failed."""
    run = await reader.open(catching(e, reader), {"x": 1})
    kept = [handle async for handle in reader.each(run.subgraphs)]
    return [[*await facts(reader, handle), *await reader.end(handle)] for handle in kept]


@watched("run.subgraphs.retried", rows=("6.9:errors",), differs="own-end")
async def retried(e, reader):
    """Each attempt has its own handle."""
    run = await reader.open(retrying(e), {"x": 1})
    kept = [handle async for handle in reader.each(run.subgraphs)]
    return [[*await facts(reader, handle), *await reader.end(handle)] for handle in kept]


@watched("run.subgraphs.asking", rows=(*ROWS, "6.7:interrupts"), differs="async-accessors-on-3.10")
async def asking_child(e, reader):
    inner = leaf(e, "i", ask=asking(e, "q?"))
    graph = wire(e, Log, "START a sub b END", a=..., sub=inner, b=...)
    graph = graph.compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, e.types.Command(resume="yes")):
        run = await reader.open(graph, given, thread())
        async for handle in reader.each(run.subgraphs):
            found += [*await reader.end(handle), handle.status, handle.error]
        found += await reader.end(run)
    return found


@watched(
    "run.subgraphs.asking_values", rows=(*ROWS, "6.7:interrupts"), differs="async-accessors-on-3.10"
)
async def asking_values(e, reader):
    inner = leaf(e, "i", ask=asking(e, "q?"))
    graph = wire(e, Log, "START a sub b END", a=..., sub=inner, b=...)
    graph = graph.compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, e.types.Command(resume="yes")):
        run = await reader.open(graph, given, thread())
        async for handle in reader.each(run.subgraphs):
            found.append(later(e, await reader.all(handle.values, shown)))
    return found


@watched("run.subgraphs.drained", rows=(*ROWS, "6.9:errors"))
async def drained(e, reader):
    control = e.runtime.RunControl()

    def node(state):
        control.request_drain("enough")
        return {"log": ["n"]}

    inner = wire(e, Log, "START n j END", n=node, j=...).compile()
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile(checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1}, thread(), control=control)
    found = []
    try:
        async for handle in reader.each(run.subgraphs):
            found += [str(item) for item in await reader.all(handle.lifecycle)]
            found += [handle.status, handle.error, *map(str, await reader.end(handle))]
    except Exception as error:
        found.append(error)
    return found


@watched("run.subgraphs.aborted", rows=(*ROWS, "6.7:abort"))
async def aborted(e, reader):
    """Leaving the run while a child is open."""
    graph = wire(e, Log, "START sub b END", sub=leaf(e, "i", "j", "k"), b=...).compile()
    run = await reader.open(graph, {"x": 1})
    [handle] = await reader.some(reader.iterator(run.subgraphs), 1)
    values = reader.iterator(handle.values)
    await reader.some(values, 1)
    await reader.abort(run)
    found = [await reader.all(values), await reader.all(handle.subgraphs), handle.error]
    return [*found, shown(await reader.output(run))]


@watched("run.subgraphs.abort_of_handle", rows=(*ROWS, "6.7:abort"))
async def abort_of_handle(e, reader):
    """Leaving a handle leaves the run alone."""
    graph = wire(e, Log, "START sub b END", sub=leaf(e, "i", "j", "k"), b=...).compile()
    run = await reader.open(graph, {"x": 1})
    [handle] = await reader.some(reader.iterator(run.subgraphs), 1)
    await reader.abort(handle)
    found = [await reader.all(handle.values), await reader.all(handle)]
    return [*found, shown(await reader.output(run)), handle.status]
