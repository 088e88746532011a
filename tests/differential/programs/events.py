"""`astream_events` on compiled graphs, v1 and v2.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import uuid
from typing import Annotated

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableSequence
from langchain_core.tools import tool
from typing_extensions import TypedDict

from differential.kit import Log, asay, fail, say, thread, wire
from differential.models import AsyncTypist
from differential.registry import attempt, probe
from differential.render import mask
from differential.threads import asking

ROWS = ("5.2:events",)
ASYNC = ("async",)


def events(graph, given, config=None, *, versions=("v2", "v1"), sorts=False, apart=False, **kwargs):
    """Return the events of a run, with runs in place of their ids.

    When an item of the stream arrives is timing: `apart` puts these last.
    """
    found = []

    async def collect(version):
        runs = {}
        lines = []
        try:
            async for item in graph.astream_events(given, config, version=version, **kwargs):
                item = dict(item)
                known = runs.setdefault(item.pop("run_id"), f"run {len(runs)}")
                parents = [runs.get(id, "unknown") for id in item.pop("parent_ids")]
                lines.append((item.pop("event"), item.pop("name"), known, parents, item))
        except Exception as error:
            lines.append(error)
        if apart:
            lines.sort(key=lambda line: line[0] == "on_chain_stream" and line[2] == "run 0")
        if sorts:
            # Parallel nodes take turns as they like.
            lines = [(line[0], line[1], line[-1]) for line in lines]
            lines.sort(key=lambda line: (line[1], line[0], mask(repr(line[-1]["data"]))))
        found.extend([version, *lines])

    for version in versions:
        asyncio.run(collect(version))
    return found


def chat(e):
    """Return a state of messages."""

    class Chat(TypedDict):
        messages: Annotated[list, e.message.add_messages]

    return Chat


@probe("events.chat", rows=ROWS, drivers=ASYNC)
def chatting(e, driver):
    model = AsyncTypist(fixed="m")

    async def call_model(state):
        return {"messages": await model.ainvoke(state["messages"])}

    graph = wire(e, chat(e), "START call_model END", call_model=call_model).compile()
    return events(graph, {"messages": [HumanMessage("hi", id="h")]})


@probe("events.names_tags_metadata", rows=ROWS, drivers=ASYNC)
def names_tags_metadata(e, driver):
    graph = wire(e, Log, "START a b END", a=(..., {"metadata": {"of": "a"}}), b=asay("b"))
    config = {**thread(user=3), "run_name": "mine", "tags": ["t1", "t2"], "metadata": {"m": 1}}
    named = graph.compile(checkpointer=e.saver(), name="named")
    return [
        *events(named, {"x": 1}, config),
        *events(named, {"x": 1}, thread("2")),
        *events(named.with_config(tags=["bound"]), {"x": 1}, thread("3")),
    ]


@probe("events.filters", rows=ROWS, drivers=ASYNC)
def filters(e, driver):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile()
    return [
        *events(graph, {"x": 1}, include_names=["a"]),
        *events(graph, {"x": 1}, exclude_names=["a"]),
        *events(graph, {"x": 1}, include_tags=["graph:step:2"]),
        *events(graph, {"x": 1}, include_types=["chat_model"]),
    ]


@probe("events.paths", rows=ROWS, drivers=ASYNC)
def paths(e, driver):
    def route(state):
        return "b"

    async def aroute(state):
        await adispatch_custom_event("on the way", 1)
        return "__end__"

    step = RunnableLambda(lambda state: "__end__", name="step")
    graph = wire(e, Log, a=say("a"), b=asay("b"), c=...)
    graph.add_conditional_edges("__start__", lambda state: "a")
    graph.add_conditional_edges("a", route)
    graph.add_conditional_edges("b", aroute)
    graph.add_conditional_edges("b", step, ["__end__", "c"])
    return events(graph.compile(), {"x": 1})


@probe("events.work_in_paths", rows=ROWS, drivers=ASYNC)
def work_in_paths(e, driver):
    step = RunnableLambda(lambda x: x, name="step")

    def route(state, config):
        step.invoke(1)
        step.invoke(2, config)
        return "b"

    async def aroute(state):
        await step.ainvoke(3)
        return "__end__"

    graph = wire(e, Log, "START a", a=..., b=...)
    graph.add_conditional_edges("a", route)
    graph.add_conditional_edges("b", aroute)
    return events(graph.compile(), {"x": 1}, {"tags": ["t"], "metadata": {"m": 1}})


@probe("events.chains", rows=ROWS, drivers=ASYNC)
def chains(e, driver):
    """A chain is no run of its own: its steps are those of the node."""
    first, second = RunnableLambda(lambda x: x, name="first"), RunnableLambda(say("s"), name="s")

    async def words(state):
        yield {"log": ["one"]}
        yield {"log": ["two"]}

    def route(state):
        return "named"

    named = RunnableSequence(first, second, name="named chain")
    nodes = {"chain": first | second | first, "named": named, "words": words}
    nodes["bound"] = (first | second).with_config(run_name="bound chain")
    graph = wire(e, Log, "START chain", "named bound words END", **nodes)
    graph.add_conditional_edges("chain", route)
    return events(graph.compile(), {"x": 1})


@probe("events.nested", rows=ROWS, drivers=ASYNC)
def nested(e, driver):
    deep = wire(e, Log, "START d END", d=...).compile(name="deep graph")
    inner = wire(e, Log, "START i deep END", i=..., deep=deep).compile(name="inner graph")

    async def acalling(state):
        await inner.ainvoke({"x": 4})
        return {"log": [len([item async for item in inner.astream({"x": 5})])]}

    def calling(state):
        inner.invoke({"x": 4})
        return {"log": [len(list(inner.stream({"x": 5})))]}

    nodes = {"sub": inner, "acall": acalling, "call": calling}
    graph = wire(e, Log, "START sub acall call END", **nodes).compile()
    return events(graph, {"x": 1}, {"tags": ["t"]})


@probe("events.modes", rows=ROWS, drivers=ASYNC)
def modes(e, driver):
    def node(state, writer):
        writer("custom item")
        return {"log": ["n"]}

    inner = wire(e, Log, "START n END", n=node).compile()
    graph = wire(e, Log, "START n sub END", n=node, sub=inner).compile()
    found = []
    for kwargs in (
        {"stream_mode": "values"},
        {"stream_mode": ["custom", "updates"]},
        {"stream_mode": ["values", "updates"], "subgraphs": True},
        {"stream_mode": "debug"},
        {"output_keys": ["x"]},
        {"output_keys": "log"},
    ):
        found += [kwargs, *events(graph, {"x": 1}, apart=True, **kwargs)]
    return found


@probe("events.tasks", rows=ROWS, drivers=ASYNC)
def tasks(e, driver):
    @e.func.task
    def add(x, y=1):
        return x + y

    @e.func.task(name="named")
    async def aadd(x, *more, y=1):
        return await add(x)

    @e.func.task
    async def broken(x):
        raise ValueError("no")

    @e.func.entrypoint()
    async def flow(n):
        return await aadd(n, 7, y=2) + await add(n)

    @e.func.entrypoint()
    async def failing(n):
        return await broken(n)

    async def node(state):
        return {"log": [await add(1)]}

    graph = wire(e, Log, "START n END", n=node).compile()
    return [
        *events(flow, 1, {"tags": ["t"]}, apart=True),
        *events(failing, 1),
        *events(graph, {"x": 1}, apart=True),
    ]


@probe("events.questions", rows=ROWS, drivers=ASYNC)
def questions(e, driver):
    graph = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q"))
    command = e.types.Command
    found = []
    for version in ("v1", "v2"):
        compiled = graph.compile(checkpointer=e.saver())
        found += events(compiled, {"x": 1}, thread(), versions=[version])
        found += events(compiled, command(resume="A"), thread(), versions=[version])
    stops = graph.compile(checkpointer=e.saver(), interrupt_before=["ask"])
    found += events(stops, {"x": 1}, thread(), versions=["v2"])
    inner = wire(e, Log, "START ask END", ask=asking(e, "q")).compile()
    outer = wire(e, Log, "START sub END", sub=inner).compile(checkpointer=e.saver())
    found += events(outer, {"x": 1}, thread(), versions=["v2"])
    return found


@probe("events.failures", rows=ROWS, drivers=ASYNC)
def failures(e, driver):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    inner = wire(e, Log, "START bad END", bad=fail(ValueError("no"))).compile()
    outer = wire(e, Log, "START inner END", inner=inner).compile()
    looping = wire(e, Log, "START a a", a=...).compile()

    def handle(state, error):
        return {"log": [repr(error.error)]}

    handled = wire(e, Log, "START n END", n=(fail(ValueError("no")), {"error_handler": handle}))
    return [
        *events(graph, {"x": 1}),
        *events(outer, {"x": 1}),
        *events(looping, {"x": 1}, {"recursion_limit": 2}),
        *events(handled.compile(), {"x": 1}),
    ]


@probe("events.custom", rows=ROWS, drivers=ASYNC)
def custom(e, driver):
    async def anode(state):
        await adispatch_custom_event("event", {"n": 1})
        return {"log": [1]}

    def node(state, config):
        dispatch_custom_event("sync event", [2])
        dispatch_custom_event("sync event", [3], config=config)
        return {"log": [2]}

    inner = wire(e, Log, "START i END", i=anode).compile()
    graph = wire(e, Log, "START a s sub END", a=anode, s=node, sub=inner).compile()
    return events(graph, {"x": 1})


@probe("events.tools", rows=ROWS, drivers=ASYNC)
def tools(e, driver):
    @tool
    async def double(x: int) -> int:
        """Double it."""
        await adispatch_custom_event("inside", x)
        return 2 * x

    @tool
    def broken(x: int) -> int:
        """Break."""
        raise ValueError("no")

    node = e.prebuilt.ToolNode([double, broken], handle_tool_errors=True)
    graph = wire(e, chat(e), "START tools END", tools=node).compile()
    found = []
    for name in ("double", "broken"):
        asked = [{"name": name, "args": {"x": 2}, "id": "c1"}]
        found += events(graph, {"messages": [AIMessage("", id="a", tool_calls=asked)]})
    return found


@probe("events.tool_question", rows=ROWS, drivers=ASYNC, differs="signals-in-tools")
def tool_question(e, driver):
    @tool
    def asks(x: int) -> int:
        """Ask."""
        return e.types.interrupt(x)

    node = e.prebuilt.ToolNode([asks])
    graph = wire(e, chat(e), "START tools END", tools=node).compile(checkpointer=e.saver())
    asked = [{"name": "asks", "args": {"x": 2}, "id": "c1"}]
    return events(graph, {"messages": [AIMessage("", id="a", tool_calls=asked)]}, thread())


@probe("events.model_in_a_chain", rows=ROWS, drivers=ASYNC)
def model_in_a_chain(e, driver):
    """What the node returns is what the chain's last chunks add up to."""
    model = AsyncTypist(fixed="m")
    messages = RunnableLambda(lambda state: state["messages"], name="messages")
    state = RunnableLambda(lambda message: {"messages": [message]}, name="state")
    chain = messages | model | state
    graph = wire(e, chat(e), "START chain END", chain=chain).compile()
    return events(graph, {"messages": [HumanMessage("hi", id="h")]})


@probe("events.commands", rows=ROWS, drivers=ASYNC)
def commands(e, driver):
    command = e.types.Command

    def go(state):
        return command(update={"log": ["go"]}, goto=e.types.Send("b", {"x": 3}))

    def up(state):
        return command(graph=command.PARENT, update={"log": ["up"]}, goto="b")

    def route(state):
        return "b"

    inner = wire(e, Log, "START up END", up=up).compile()
    first = wire(e, Log, "START go", "b END", go=go, b=...)
    second = wire(e, Log, "START inner", "b END", inner=inner, b=...)
    second.add_conditional_edges("inner", route)
    return [*events(first.compile(), {"x": 1}), *events(second.compile(), {"x": 1})]


@probe("events.parallel", rows=ROWS, drivers=ASYNC)
def parallel(e, driver):
    graph = wire(e, Log, "START a c END", "START b c", a=..., b=asay("b"), c=...)
    return events(graph.compile(), {"x": 1}, sorts=True)


@probe("events.around_sync", rows=ROWS, drivers=ASYNC)
def around_sync(e, driver):
    """Events of a graph that is invoked by something else, in another thread."""
    inner = wire(e, Log, "START a END", a=...).compile(name="inner")
    return events(RunnableLambda(lambda x: inner.invoke(x), name="caller"), {"x": 1})


@probe("events.in_a_chain", rows=ROWS, drivers=ASYNC)
def in_a_chain(e, driver):
    graph = wire(e, Log, "START a END", a=...).compile(name="graph")
    return events(graph | RunnableLambda(lambda x: x, name="after"), {"x": 1})


@probe("events.cached", rows=ROWS, drivers=ASYNC)
def cached(e, driver):
    policy = {"cache_policy": e.types.CachePolicy()}
    graph = wire(e, Log, "START a END", a=(..., policy)).compile(cache=e.cache())
    return [*events(graph, {"x": 1}), *events(graph, {"x": 1})]


@probe("events.run_id", rows=ROWS, drivers=ASYNC)
def run_id(e, driver):
    graph = wire(e, Log, "START a END", a=...).compile()
    given = uuid.UUID(int=7)

    async def ids():
        config = {"run_id": given}
        stream = graph.astream_events({"x": 1}, config, version="v2")
        return [(item["event"], item["run_id"] == str(given)) async for item in stream]

    return asyncio.run(ids())


@probe("events.sync", rows=ROWS, drivers=("sync",))
def sync_events(e, driver):
    graph = wire(e, Log, "START a END", a=...).compile()
    return [
        attempt(lambda: list(graph.stream_events({"x": 1}, version=version)))  # noqa: B023
        for version in ("v1", "v2")
    ]


@probe("events.left_early", rows=ROWS, drivers=ASYNC)
def left_early(e, driver):
    async def slow(state):
        await asyncio.Event().wait()

    graph = wire(e, Log, "START a slow END", a=..., slow=slow).compile()

    async def leave():
        seen = []
        stream = graph.astream_events({"x": 1}, version="v2")
        async for item in stream:
            seen.append((item["event"], item["name"]))
            if item["name"] == "slow":
                break
        await stream.aclose()
        return seen

    return asyncio.run(leave())
