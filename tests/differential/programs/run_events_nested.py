"""Run streams: the raw event log of graphs inside graphs.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
from typing import Annotated

from typing_extensions import TypedDict

from differential.kit import Log, fail, thread, wire
from differential.threads import asking
from differential.watching import opt_in, watched

ROWS = ("6.2:event", "6.6:lifecycle")


class Notes(TypedDict):
    """What several children can write at the same time."""

    log: Annotated[list, operator.add]


def leaf(e, *names, schema=Log, **nodes):
    """Compile a child of nodes that log their names."""
    nodes = {**dict.fromkeys(names, ...), **nodes}
    return wire(e, schema, f"START {' '.join(nodes)} END", **nodes).compile()


def note(e, *names, **nodes):
    """Compile a child that can run at the same time as others."""
    return leaf(e, *names, schema=Notes, **nodes)


def calling(reader, *children):
    """Return a node that calls graphs, one after the other, and logs what they log."""

    def node(state, config):
        return {"log": [child.invoke({"x": 5}, config)["log"] for child in children]}

    async def anode(state, config):
        return {"log": [(await child.ainvoke({"x": 5}, config))["log"] for child in children]}

    return anode if reader.is_async else node


@watched("run.events.nested", rows=ROWS)
async def nested(e, reader):
    graph = wire(e, Log, "START a sub b END", a=..., sub=leaf(e, "i", "j"), b=...).compile()
    return await reader.log(await reader.open(graph, {"x": 1}))


@watched("run.events.three_deep", rows=ROWS)
async def three_deep(e, reader):
    middle = leaf(e, "m", low=leaf(e, "l"))
    graph = wire(e, Log, "START top other END", top=leaf(e, mid=middle), other=leaf(e, "o"))
    return await reader.log(await reader.open(graph.compile(), {"x": 1}))


@watched("run.events.parallel_children", rows=ROWS)
async def parallel_children(e, reader):
    nodes = {"s": note(e, "i", "j"), "t": note(e, "k", u=note(e, "l")), "n": ..., "b": ...}
    graph = wire(e, Log, "START s b END", "START t b", "START n b", **nodes).compile()
    return await reader.log(await reader.open(graph, {"x": 1}), has_parallel=True)


@watched("run.events.sent_children", rows=ROWS)
async def sent_children(e, reader):
    def route(state):
        return [e.types.Send("s", {"x": n, "log": [n]}) for n in range(3)]

    graph = wire(e, Log, "START a", "s END", a=..., s=note(e, "i", "j"))
    graph.add_conditional_edges("a", route, ["s"])
    return await reader.log(await reader.open(graph.compile(), {"x": 1}), has_parallel=True)


@watched("run.events.looping_child", rows=ROWS)
async def looping_child(e, reader):
    """The same node runs a child in each of several supersteps."""

    def route(state):
        return "s" if len(state["log"]) < 4 else "__end__"

    graph = wire(e, Log, "START s", s=leaf(e, "i", "j"))
    graph.add_conditional_edges("s", route)
    return await reader.log(await reader.open(graph.compile(), {"x": 1}))


@watched("run.events.called_child", rows=ROWS)
async def called_child(e, reader):
    node = calling(reader, leaf(e, "i", "j"))
    graph = wire(e, Log, "START a call b END", a=..., call=node, b=...).compile()
    return await reader.log(await reader.open(graph, {"x": 1}))


@watched("run.events.streamed_child", rows=ROWS)
async def streamed_child(e, reader):
    """A node reads the stream of its child itself; the log of the run has its events too."""
    inner = leaf(e, "i", "j")

    def node(state, config):
        return {"log": [len(list(inner.stream({"x": 5}, config, stream_mode="updates")))]}

    async def anode(state, config):
        items = inner.astream({"x": 5}, config, stream_mode="updates")
        return {"log": [len([item async for item in items])]}

    graph = wire(e, Log, "START call END", call=anode if reader.is_async else node).compile()
    return await reader.log(await reader.open(graph, {"x": 1}))


@watched("run.events.called_twice", rows=ROWS, differs="every-child")
async def called_twice(e, reader):
    node = calling(reader, leaf(e, "i"), leaf(e, "j"))
    graph = wire(e, Log, "START call END", call=node).compile()
    return await reader.log(await reader.open(graph, {"x": 1}))


@watched("run.events.called_twice_but_lifecycle", rows=ROWS)
async def called_twice_but_lifecycle(e, reader):
    node = calling(reader, leaf(e, "i"), leaf(e, "j"))
    graph = wire(e, Log, "START call END", call=node).compile()
    return without_lifecycle(await reader.log(await reader.open(graph, {"x": 1})))


def without_lifecycle(lines):
    """Leave out what says that children start and end."""
    return [line for line in lines if not str(line).startswith("lifecycle")]


@watched("run.events.other_schema", rows=ROWS)
async def other_schema(e, reader):
    class Own(TypedDict):
        x: int
        secret: str

    inner = wire(e, Own, "START i END", i=lambda s: {"secret": "s", "x": s["x"] * 2}).compile()
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile()
    return await reader.log(await reader.open(graph, {"x": 4}))


@watched("run.events.names", rows=ROWS)
async def names(e, reader):
    """The name of a child is the node's, or one that its config has in its metadata."""
    inner = wire(e, Log, "START i END", i=...).compile(name="inner graph")
    called = inner.with_config(metadata={"lc_agent_name": "agent"})
    nodes = {"sub": inner, "named": called, "call": calling(reader, inner)}
    graph = wire(e, Log, "START sub named call END", **nodes).compile(name="outer graph")
    return await reader.log(await reader.open(graph, {"x": 1}))


@watched("run.events.child_fails", rows=(*ROWS, "6.7:errors"))
async def child_fails(e, reader):
    inner = leaf(e, "i", bad=fail(ValueError("boom")))
    graph = wire(e, Log, "START a sub b END", a=..., sub=inner, b=...).compile()
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.grandchild_fails", rows=(*ROWS, "6.7:errors"))
async def grandchild_fails(e, reader):
    middle = leaf(e, "m", low=leaf(e, "l", bad=fail(ValueError("boom"))))
    graph = wire(e, Log, "START mid END", mid=middle).compile()
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.called_child_fails", rows=(*ROWS, "6.7:errors"))
async def called_child_fails(e, reader):
    inner = leaf(e, "i", bad=fail(ValueError("boom")))
    graph = wire(e, Log, "START call END", call=calling(reader, inner)).compile()
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.caught_child", rows=(*ROWS, "6.7:errors"), differs="own-end")
async def caught_child(e, reader):
    """A node catches the error of the graph that it calls: the child has failed."""
    return await reader.log(await reader.open(catching(e, reader), {"x": 1}))


@watched("run.events.caught_child_but_its_end", rows=(*ROWS, "6.7:errors"))
async def caught_child_but_its_end(e, reader):
    lines = await reader.log(await reader.open(catching(e, reader), {"x": 1}))
    return [line for line in lines if "'completed'" not in line and "'failed'" not in line]


def catching(e, reader):
    """Return a graph whose node calls a child that fails, and goes on."""
    inner = leaf(e, "i", bad=fail(ValueError("boom")))

    def node(state, config):
        try:
            inner.invoke({"x": 5}, config)
        except ValueError as error:
            return {"log": [str(error)]}

    async def anode(state, config):
        try:
            await inner.ainvoke({"x": 5}, config)
        except ValueError as error:
            return {"log": [str(error)]}

    return wire(
        e, Log, "START call b END", call=anode if reader.is_async else node, b=...
    ).compile()


@watched("run.events.child_after_work", rows=ROWS)
async def child_after_work(e, reader):
    """The node that called a child fails itself, after the child."""
    inner = leaf(e, "i")

    def node(state, config):
        inner.invoke({"x": 5}, config)
        return {"log": ["called"]}

    async def anode(state, config):
        await inner.ainvoke({"x": 5}, config)
        return {"log": ["called"]}

    nodes = {"call": anode if reader.is_async else node, "bad": fail(ValueError("boom"))}
    graph = wire(e, Log, "START call bad END", **nodes).compile()
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.failing_sibling", rows=(*ROWS, "6.7:errors"))
async def failing_sibling(e, reader):
    """One of several children fails: what is certain is the error, and that it is said."""
    nodes = {"s": note(e, "i"), "t": note(e, bad=fail(ValueError("boom")))}
    graph = wire(e, Log, "START s END", "START t END", **nodes).compile()
    run = await reader.open(graph, {"x": 1})
    lines = [str(line) for line in await reader.log(run)]
    failed = [line for line in lines if "'failed'" in line and "of t:" in line]
    return [lines[0], lines[-1], failed, *await reader.end(run)]


@watched("run.events.child_asks", rows=(*ROWS, "6.7:interrupts"), differs="async-accessors-on-3.10")
async def child_asks(e, reader):
    inner = leaf(e, "i", ask=asking(e, "q?"))
    graph = wire(e, Log, "START a sub b END", a=..., sub=inner, b=...)
    graph = graph.compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, e.types.Command(resume="yes")):
        run = await reader.open(graph, given, thread())
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched(
    "run.events.called_child_asks",
    rows=(*ROWS, "6.7:interrupts"),
    differs="async-accessors-on-3.10",
)
async def called_child_asks(e, reader):
    node = calling(reader, leaf(e, "i", ask=asking(e, "q?")))
    graph = wire(e, Log, "START call END", call=node).compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, e.types.Command(resume="yes")):
        run = await reader.open(graph, given, thread())
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.breakpoint_in_child", rows=(*ROWS, "6.7:interrupts"), differs="own-end")
async def breakpoint_in_child(e, reader):
    """A child that stops at a breakpoint has not completed."""
    return await stopping(e, reader)


@watched("run.events.breakpoint_in_child_but_its_end", rows=(*ROWS, "6.7:interrupts"))
async def breakpoint_in_child_but_its_end(e, reader):
    found = await stopping(e, reader)
    return [without_lifecycle(lines) if isinstance(lines, list) else lines for lines in found]


async def stopping(e, reader):
    """Return the logs and the ends of two runs of which the first stops in a child."""
    inner = wire(e, Log, "START i j END", i=..., j=...).compile(interrupt_before=["j"])
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, None):
        run = await reader.open(graph, given, thread())
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.child_drained", rows=(*ROWS, "6.7:errors"))
async def child_drained(e, reader):
    control = e.runtime.RunControl()

    def node(state):
        control.request_drain("enough")
        return {"log": ["n"]}

    inner = wire(e, Log, "START n j END", n=node, j=...).compile()
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile(checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1}, thread(), control=control)
    found = [await reader.log(run), *await reader.end(run)]
    run = await reader.open(graph, None, thread())
    return [*found, await reader.log(run)]


@watched("run.events.child_for_parent", rows=ROWS)
async def child_for_parent(e, reader):
    """A child ends by telling its parent where to go."""
    command = e.types.Command

    def up(state):
        return command(graph=command.PARENT, update={"log": ["up"]}, goto="b")

    graph = wire(e, Log, "START sub", "b END", sub=leaf(e, "i", up=up), b=...).compile()
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.child_retried", rows=ROWS, differs="own-end")
async def child_retried(e, reader):
    """Each attempt runs the child anew, under the same namespace."""
    return await reader.log(await reader.open(retrying(e), {"x": 1}))


@watched("run.events.child_retried_but_lifecycle", rows=ROWS)
async def child_retried_but_lifecycle(e, reader):
    return without_lifecycle(await reader.log(await reader.open(retrying(e), {"x": 1})))


def retrying(e):
    """Return a graph whose child fails at the first attempt."""
    calls = []

    def node(state):
        calls.append(1)
        if len(calls) < 2:
            raise ValueError("once")
        return {"log": ["n"]}

    policy = e.types.RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)
    nodes = {"sub": (leaf(e, "i", n=node), {"retry_policy": policy})}
    return wire(e, Log, "START sub END", **nodes).compile()


@watched("run.events.stateful_child", rows=ROWS, differs="every-child")
async def stateful_child(e, reader):
    return await stateful(e, reader)


@watched("run.events.stateful_child_but_lifecycle", rows=ROWS)
async def stateful_child_but_lifecycle(e, reader):
    return [without_lifecycle(lines) for lines in await stateful(e, reader)]


async def stateful(e, reader):
    """Return the logs of two runs of a child that keeps its state."""
    inner = wire(e, Log, "START i END", i=...).compile(checkpointer=True)
    graph = wire(e, Log, "START sub b END", sub=inner, b=...).compile(checkpointer=e.saver())
    return [await reader.log(await reader.open(graph, {"x": 1}, thread())) for _ in range(2)]


@watched("run.events.saved_children", rows=ROWS)
async def saved_children(e, reader):
    graph = wire(e, Log, "START sub b END", sub=leaf(e, "i", "j"), b=...)
    graph = graph.compile(checkpointer=e.saver())
    ways = opt_in(e, "checkpoints", "updates")
    run = await reader.open(graph, {"x": 1}, thread(), transformers=ways)
    return await reader.log(run)


@watched(
    "run.events.every_projection_nested",
    rows=(*ROWS, "6.6:builtins"),
    differs="async-accessors-on-3.10",
)
async def every_projection_nested(e, reader):
    def node(state, writer):
        writer("custom item")
        return {"log": ["n"]}

    graph = wire(e, Log, "START a sub END", a=node, sub=leaf(e, "i", n=node)).compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e))
    return await reader.log(run)


@watched("run.events.child_in_a_task", rows=ROWS, differs="own-end")
async def child_in_a_task(e, reader):
    """The child has ended when it ends, before the run has."""
    run = await reader.open(flow_with_child(e, reader), 3)
    return await reader.all(run, lambda event: event["method"])


@watched("run.events.child_in_a_task_but_its_end", rows=ROWS, differs="async-accessors-on-3.10")
async def child_in_a_task_but_its_end(e, reader):
    """A task calls a graph: two levels at once, of which only the second is a graph."""
    return await reader.log(await reader.open(flow_with_child(e, reader), 3))


def flow_with_child(e, reader):
    """Return an entrypoint whose task calls a graph."""
    inner = leaf(e, "i")

    @e.func.task
    def tk(x, config):
        return inner.invoke({"x": x}, config)["x"]

    @e.func.task
    async def atk(x, config):
        return (await inner.ainvoke({"x": x}, config))["x"]

    @e.func.entrypoint()
    def wf(n):
        return {"r": tk(n).result()}

    @e.func.entrypoint()
    async def awf(n):
        return {"r": await atk(n)}

    return awf if reader.is_async else wf


@watched("run.events.inner_run_stream", rows=("6.1:entry", "6.5:scope"))
async def inner_run_stream(e, reader):
    """A node watches a graph of its own: what it sees, and what the run around it sees."""
    inner = leaf(e, "i", sub=leaf(e, "j"))

    def node(state, config):
        run = inner.stream_events({"x": 5}, config, version="v3")
        return {"log": [[shape(event) for event in run], run.output["log"]]}

    async def anode(state, config):
        run = await inner.astream_events({"x": 5}, config, version="v3")
        return {"log": [[shape(event) async for event in run], (await run.output())["log"]]}

    def shape(event):
        return (event["method"], [part.split(":")[0] for part in event["params"]["namespace"]])

    # The start of a child may come sooner.
    def steady(log):
        return [sorted(log[0], key=str), log[1]]

    graph = wire(e, Log, "START watch END", watch=anode if reader.is_async else node).compile()
    run = await reader.open(graph, {"x": 1})
    output = await reader.output(run)
    return [output["x"], *steady(output["log"])]


@watched(
    "run.events.outer_log_of_inner_run",
    rows=("6.1:entry", "6.5:scope"),
    differs="outer-log",
)
async def outer_log_of_inner_run(e, reader):
    inner = leaf(e, "i", sub=leaf(e, "j"))

    def node(state, config):
        run = inner.stream_events({"x": 5}, config, version="v3")
        return {"log": [len(list(run.values)), run.output["log"]]}

    async def anode(state, config):
        run = await inner.astream_events({"x": 5}, config, version="v3")
        return {"log": [len([v async for v in run.values]), (await run.output())["log"]]}

    graph = wire(e, Log, "START watch END", watch=anode if reader.is_async else node).compile()
    return await reader.log(await reader.open(graph, {"x": 1}))
