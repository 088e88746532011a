"""Run streams: the raw event log of runs that fail, ask, pause or are drained.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from differential.kit import Log, fail, thread, wire
from differential.threads import asking
from differential.watching import opt_in, watched

LOG = ("6.2:event",)


def counter():
    """Return a node that fails twice, then logs."""
    calls = []

    def node(state):
        calls.append(1)
        if len(calls) < 3:
            raise ValueError(f"attempt {len(calls)}")
        return {"log": [len(calls)]}

    return node


@watched("run.events.node_fails", rows=("6.2:event", "6.7:errors"))
async def node_fails(e, reader):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    run = await reader.open(graph, {"x": 1})
    events = await reader.log(run)
    return [*events, *await reader.end(run), await reader.log(run)]


@watched("run.events.one_of_several_fails", rows=("6.2:event", "6.7:errors"))
async def one_of_several_fails(e, reader):
    nodes = {"a": ..., "b": fail(ValueError("no")), "c": ...}
    graph = wire(e, Log, "START a END", "START b END", "START c END", **nodes).compile()
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.edge_fails", rows=("6.2:event", "6.7:errors"))
async def edge_fails(e, reader):
    def route(state):
        raise ValueError("no way")

    graph = wire(e, Log, "START a", a=..., b=...)
    graph.add_conditional_edges("a", route, ["b"])
    run = await reader.open(graph.compile(), {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.recursion", rows=("6.2:event", "6.7:errors"))
async def recursion(e, reader):
    graph = wire(e, Log, "START a b a", a=..., b=...).compile()
    run = await reader.open(graph, {"x": 1}, {"recursion_limit": 3})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.bad_input", rows=("6.1:laziness", "6.7:errors"))
async def bad_input(e, reader):
    plain = wire(e, Log, "START a END", a=...).compile()
    found = []
    for subject, given, config in (
        (plain, None, None),
        (plain, {}, None),
        (plain, 7, None),
        (plain, {"x": 1}, {"recursion_limit": 0}),
    ):
        run = await reader.open(subject, given, config)
        found += [type(run).__name__, await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.no_thread", rows=("6.1:laziness", "6.7:errors"), differs="missing-thread-id")
async def no_thread(e, reader):
    """A saver needs to know the thread: the first reading says so, and every other."""
    graph = wire(e, Log, "START a END", a=...).compile(checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched(
    "run.events.question", rows=("6.2:event", "6.7:interrupts"), differs="async-accessors-on-3.10"
)
async def question(e, reader):
    graph = wire(e, Log, "START a ask b END", a=..., ask=asking(e, "q?"), b=...)
    graph = graph.compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, None, e.types.Command(resume="yes")):
        run = await reader.open(graph, given, thread(), transformers=opt_in(e, "updates"))
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched(
    "run.events.two_questions",
    rows=("6.2:event", "6.7:interrupts"),
    differs="async-accessors-on-3.10",
)
async def two_questions(e, reader):
    graph = wire(e, Log, "START ask END", ask=asking(e, "first", "second"))
    graph = graph.compile(checkpointer=e.saver())
    found = []
    for given in ({"x": 1}, e.types.Command(resume=1), e.types.Command(resume=2)):
        run = await reader.open(graph, given, thread())
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched(
    "run.events.parallel_questions",
    rows=("6.2:event", "6.7:interrupts"),
    differs="async-accessors-on-3.10",
)
async def parallel_questions(e, reader):
    """Questions of one superstep come one by one, and are collected."""
    nodes = {"p": asking(e, "p?"), "q": asking(e, "q?"), "r": ...}
    graph = wire(e, Log, "START p END", "START q END", "START r END", **nodes)
    run = await reader.open(graph.compile(checkpointer=e.saver()), {"x": 1}, thread())
    events = await reader.log(run)
    output, interrupted, interrupts = await reader.end(run)
    asked = sorted(question.value for question in interrupts)
    return [len(events), events[0], output, interrupted, asked]


@watched("run.events.breakpoints", rows=("6.2:event", "6.1:arguments", "6.7:interrupts"))
async def breakpoints(e, reader):
    builder = wire(e, Log, "START a b c END", a=..., b=..., c=...)
    found = []
    for compiled, called in (
        ({"interrupt_before": ["b"]}, {}),
        ({"interrupt_after": ["b"]}, {}),
        ({}, {"interrupt_before": ["c"]}),
        ({}, {"interrupt_after": "*"}),
    ):
        graph = builder.compile(checkpointer=e.saver(), **compiled)
        for given in ({"x": 1}, None):
            run = await reader.open(graph, given, thread(), **called)
            found += [await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.retries", rows=LOG)
async def retries(e, reader):
    policy = e.types.RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)
    graph = wire(e, Log, "START n END", n=(counter(), {"retry_policy": policy}))
    graph = graph.compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e, "updates", "debug"))
    return await reader.log(run)


@watched("run.events.error_handler", rows=LOG)
async def error_handler(e, reader):
    def handle(state, error):
        return {"log": [repr(error.error)]}

    nodes = {"n": (fail(ValueError("no")), {"error_handler": handle}), "b": ...}
    graph = wire(e, Log, "START n b END", **nodes).compile()
    return await reader.log(await reader.open(graph, {"x": 1}))


@watched("run.events.drained", rows=("6.1:arguments", "6.7:errors"))
async def drained(e, reader):
    control = e.runtime.RunControl()

    def node(state):
        control.request_drain("enough")
        return {"log": ["n"]}

    graph = wire(e, Log, "START a n b END", a=..., n=node, b=...)
    graph = graph.compile(checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1}, thread(), control=control)
    found = [await reader.log(run), *await reader.end(run)]
    run = await reader.open(graph, None, thread())
    return [*found, await reader.log(run), *await reader.end(run)]


@watched(
    "run.events.task_fails", rows=("6.2:event", "6.7:errors"), differs="async-accessors-on-3.10"
)
async def task_fails(e, reader):
    @e.func.task
    def broken(x):
        raise ValueError("no")

    @e.func.entrypoint()
    def flow(n):
        return broken(n).result()

    @e.func.entrypoint()
    async def aflow(n):
        return await broken(n)

    run = await reader.open(aflow if reader.is_async else flow, 1)
    return [await reader.log(run), *await reader.end(run)]
