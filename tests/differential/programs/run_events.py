"""Run streams: the raw event log of one graph, of tasks, and of what goes wrong in them.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import itertools
import operator
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

from differential.kit import Log, add_nodes, add_paths, asay, say, thread, wire
from differential.registry import attempt
from differential.watching import opt_in, shown, watched

LOG = ("6.2:event",)


@watched("run.events.chain", rows=("6.2:event", "6.1:entry"))
async def chain(e, reader):
    graph = wire(e, Log, "START a b c END", a=..., b=asay("b") if reader.is_async else ..., c=...)
    return await reader.log(await reader.open(graph.compile(), {"x": 1}))


@watched("run.events.envelope", rows=("6.2:event",), differs="async-accessors-on-3.10")
async def envelope(e, reader):
    """The fields of events, their numbers and their types."""

    def node(state, writer):
        writer("custom item")
        return {"log": ["n"]}

    inner = wire(e, Log, "START i END", i=node).compile()
    graph = wire(e, Log, "START n inner END", n=node, inner=inner).compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e))
    events = [event async for event in reader.each(run)]
    fields = [
        [event["type"], event["method"], sorted(event.keys() - {"event_id"}), sorted(params)]
        for event in events
        for params in [event["params"]]
    ]
    kinds = [
        [type(event["seq"]), type(params["timestamp"]), type(params["namespace"])]
        for event in events
        for params in [event["params"]]
    ]
    return {
        # The start of a child may come sooner.
        "fields": sorted(fields, key=str),
        "kinds": kinds,
        "seq": [event["seq"] for event in events],
        "times": all(
            before["params"]["timestamp"] <= after["params"]["timestamp"]
            for before, after in itertools.pairwise(events)
        ),
    }


@watched("run.events.parallel", rows=LOG)
async def parallel(e, reader):
    graph = wire(e, Log, "START a d END", "START b d", "START c d", a=..., b=..., c=..., d=...)
    run = await reader.open(graph.compile(), {"x": 1}, transformers=opt_in(e, "updates"))
    return await reader.log(run, has_parallel=True)


@watched("run.events.conditional", rows=LOG)
async def conditional(e, reader):
    def route(state):
        return "b" if len(state["log"]) < 3 else "__end__"

    graph = wire(e, Log, "START a", "b a", a=..., b=...)
    graph.add_conditional_edges("a", route)
    return await reader.log(await reader.open(graph.compile(), {"x": 1}))


@watched("run.events.send", rows=LOG)
async def send(e, reader):
    def route(state):
        return [e.types.Send("b", {"x": n}) for n in range(3)]

    graph = wire(e, Log, "START a", "b c END", a=..., b=lambda s: {"log": [s["x"]]}, c=...)
    graph.add_conditional_edges("a", route, ["b"])
    return await reader.log(await reader.open(graph.compile(), {"x": 1}))


@watched("run.events.commands", rows=LOG)
async def commands(e, reader):
    def go(state):
        return e.types.Command(update={"log": ["go"]}, goto="c")

    graph = wire(e, Log, "START go", "c END", go=go, b=..., c=...).compile()
    resumed = e.types.Command(update={"x": 9}, goto="c")
    return [
        await reader.log(await reader.open(graph, {"x": 1})),
        await reader.log(await reader.open(graph, resumed)),
    ]


@watched("run.events.nothing_written", rows=LOG)
async def nothing_written(e, reader):
    graph = wire(e, Log, "START a b END", a=lambda s: None, b=lambda s: {}).compile()
    run = await reader.open(graph, {"x": 1})
    events = await reader.log(run)
    return [*events, *await reader.end(run)]


@watched("run.events.custom", rows=LOG, differs="async-accessors-on-3.10")
async def custom(e, reader):
    def node(state, writer):
        writer({"n": 1})
        writer("text")
        return {"log": ["n"]}

    graph = wire(e, Log, "START a b END", a=node, b=node).compile()
    return [
        await reader.log(await reader.open(graph, {"x": 1})),
        await reader.log(await reader.open(graph, {"x": 1}, transformers=opt_in(e, "custom"))),
    ]


@watched(
    "run.events.every_projection",
    rows=("6.2:event", "6.6:builtins"),
    differs="async-accessors-on-3.10",
)
async def every_projection(e, reader):
    """With all projections the log has the events of all modes but `tasks`."""

    def node(state, writer):
        writer("custom item")
        return {"log": ["n"]}

    graph = wire(e, Log, "START a b END", a=..., b=node).compile(checkpointer=e.saver())
    run = await reader.open(graph, {"x": 1}, thread(), transformers=opt_in(e))
    return await reader.log(run)


@watched("run.events.checkpoints", rows=LOG)
async def checkpoints(e, reader):
    graph = wire(e, Log, "START a b END", a=..., b=...)
    saved = graph.compile(checkpointer=e.saver())
    ways = opt_in(e, "checkpoints")
    return [
        await reader.log(await reader.open(graph.compile(), {"x": 1}, transformers=ways)),
        await reader.log(await reader.open(saved, {"x": 1}, thread(), transformers=ways)),
        await reader.log(await reader.open(saved, {"x": 2}, thread(), transformers=ways)),
    ]


@watched("run.events.cached", rows=LOG)
async def cached(e, reader):
    policy = {"cache_policy": e.types.CachePolicy()}
    cache = e.module("cache.memory").InMemoryCache()
    graph = wire(e, Log, "START a END", a=(say("a"), policy)).compile(cache=cache)
    found = []
    for _ in range(2):
        run = await reader.open(graph, {"x": 1}, transformers=opt_in(e, "updates"))
        found.append(await reader.log(run))
    return found


@watched("run.events.dataclass_state", rows=LOG)
async def dataclass_state(e, reader):
    @dataclass
    class State:
        x: int = 0
        log: Annotated[list, operator.add] = field(default_factory=list)

    graph = e.graph.StateGraph(State)
    add_nodes(graph, a=say("a"), b=say("b", x=2))
    add_paths(graph, "START a b END")
    run = await reader.open(graph.compile(), {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.pydantic_state", rows=LOG)
async def pydantic_state(e, reader):
    class State(BaseModel):
        x: int = 0
        log: Annotated[list, operator.add] = []

    graph = e.graph.StateGraph(State)
    add_nodes(graph, a=say("a"), b=say("b", x=2))
    add_paths(graph, "START a b END")
    run = await reader.open(graph.compile(), {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.output_schema", rows=LOG)
async def output_schema(e, reader):
    class Out(TypedDict):
        x: int

    graph = e.graph.StateGraph(Log, output_schema=Out)
    add_nodes(graph, a=say("a"), b=say("b", x=2))
    add_paths(graph, "START a b END")
    run = await reader.open(graph.compile(), {"x": 1})
    return [await reader.log(run), *await reader.end(run)]


@watched("run.events.output_keys", rows=("6.1:arguments",))
async def output_keys(e, reader):
    graph = wire(e, Log, "START a b END", a=..., b=say("b", x=2)).compile()
    found = []
    for keys in (["log"], "log", "x"):
        run = await reader.open(graph, {"x": 1}, output_keys=keys, transformers=opt_in(e))
        found += [keys, await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.context", rows=("6.1:arguments",))
async def context(e, reader):
    @dataclass
    class Context:
        user: str

    def node(state, runtime: e.runtime.Runtime[Context]):
        return {"log": [runtime.context.user]}

    graph = e.graph.StateGraph(Log, context_schema=Context)
    add_nodes(graph, n=node)
    add_paths(graph, "START n END")
    graph = graph.compile()
    return [
        await reader.log(await reader.open(graph, {"x": 1}, context=Context("u"))),
        await reader.log(await reader.open(graph, {"x": 1}, context={"user": "v"})),
        await reader.log(await reader.open(graph, {"x": 1}, context={"name": "v"})),
    ]


@watched("run.events.durability", rows=("6.1:arguments",))
async def durability(e, reader):
    found = []
    for durability in ("sync", "async", "exit"):
        graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
        ways = opt_in(e, "checkpoints")
        if durability == "exit":
            ways = []
        config = thread()
        run = await reader.open(graph, {"x": 1}, config, durability=durability, transformers=ways)
        found += [await reader.log(run), len(list(graph.checkpointer.list(config)))]
    return found


@watched("run.events.entrypoint", rows=LOG, differs="async-accessors-on-3.10")
async def entrypoint(e, reader):
    @e.func.task
    def double(x):
        return 2 * x

    @e.func.entrypoint()
    def flow(n):
        return {"r": double(n).result() + double(n + 1).result()}

    @e.func.entrypoint()
    async def aflow(n):
        return {"r": await double(n) + await double(n + 1)}

    subject = aflow if reader.is_async else flow
    found = []
    for ways in ((), opt_in(e, "updates", "custom")):
        run = await reader.open(subject, 1, transformers=ways)
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.entrypoint_previous", rows=LOG, differs="async-accessors-on-3.10")
async def entrypoint_previous(e, reader):
    @e.func.entrypoint(checkpointer=e.saver())
    def flow(n, *, previous=None):
        answer = e.types.interrupt("go on?") if n > 1 else ""
        return e.func.entrypoint.final(value=[n, previous, answer], save=n)

    found = []
    for given in (1, 2, e.types.Command(resume="yes")):
        run = await reader.open(flow, given, thread())
        found += [await reader.log(run), *await reader.end(run)]
    return found


@watched("run.events.config", rows=("6.1:arguments",))
async def config(e, reader):
    seen = []

    def node(state, config):
        seen.append([config["tags"], config["metadata"].get("m"), config.get("run_name")])
        return {"log": ["n"]}

    graph = wire(e, Log, "START n END", n=node).compile().with_config(tags=["bound"])
    given = {"tags": ["t"], "metadata": {"m": 1}, "run_name": "mine", "configurable": {"k": 1}}
    log = await reader.log(await reader.open(graph, {"x": 1}, given))
    return [*log, seen]


@watched("run.events.printed", rows=("6.1:arguments",))
async def printed(e, reader):
    graph = wire(e, Log, "START a END", a=...).compile()
    return [
        await reader.log(await reader.open(graph, {"x": 1}, print_mode="updates")),
        await reader.log(await reader.open(graph, {"x": 1}, debug=True)),
    ]


@watched("run.events.messages_in_state", rows=("6.8:events", "3.11:v3"))
async def messages_in_state(e, reader):
    """Messages that no model says are events too, when a node returns them."""
    graph = e.graph.StateGraph(e.graph.MessagesState)
    said = AIMessage("made", id="m1"), AIMessage("", id="m2")
    add_nodes(graph, n=lambda s: {"messages": [said[0]]}, o=lambda s: {"messages": said[1]})
    add_paths(graph, "START n o END")
    run = await reader.open(graph.compile(), {"messages": [HumanMessage("hi", id="h")]})
    return await reader.log(run)


@watched("run.events.lazy", rows=("6.1:laziness", "6.7:readers"))
async def lazy(e, reader):
    """Nothing runs before somebody reads; in sync no more than is read."""
    ran = []

    def node(name):
        def run(state):
            ran.append(name)
            return {"log": [name]}

        return run

    graph = wire(e, Log, "START a b c END", a=node("a"), b=node("b"), c=node("c")).compile()
    run = await reader.open(graph, {"x": 1})
    found: list[Any] = [list(ran)]
    events = reader.iterator(run)
    await reader.some(events, 1)
    found.append(None if reader.is_async else list(ran))
    await reader.output(run)
    return [*found, list(ran), await reader.all(events, lambda event: event["seq"])]


@watched("run.events.other_versions", rows=("6.1:errors",))
async def other_versions(e, reader):
    graph = wire(e, Log, "START a END", a=...).compile()
    if reader.is_async:
        stream = graph.astream_events({"x": 1}, version="v2")
        run = graph.astream_events({"x": 1}, version="v3")
        kinds = [hasattr(stream, "__aiter__"), asyncio.iscoroutine(run)]
        return [*kinds, type(await run).__name__, len([item async for item in stream])]
    return [
        attempt(lambda: list(graph.stream_events({"x": 1}))),
        attempt(lambda: list(graph.stream_events({"x": 1}, version="v1"))),
        attempt(lambda: list(graph.stream_events({"x": 1}, version="v4"))),
        attempt(lambda: shown(type(graph.stream_events({"x": 1}, version="v3")))),
    ]
