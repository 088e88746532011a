"""Run streams: `run.tool_calls`, and the events of tools in the log.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio

from langchain_core.tools import tool

from differential.kit import Log, thread, wire
from differential.models import ToolCaller
from differential.programs.messages import HELLO, aasking, chat
from differential.programs.messages import asking as asking_model
from differential.programs.tools_mode import asks
from differential.watching import caught, opt_in, shown, tree, watched

ROWS = ("6.10:tool_calls",)


def tools(e):
    """Return a tool that tells what it does, one that fails, and one that asks."""

    @tool
    def talks(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
        """Talk."""
        runtime.emit_output_delta("d1")
        runtime.emit_output_delta({"any": 2})
        return f"res {q}"

    @tool
    def fails(q: str) -> str:
        """Fail."""
        raise ValueError("tool boom")

    @tool
    def questions(q: str) -> str:
        """Ask."""
        return e.types.interrupt(q)

    @tool(response_format="content_and_artifact")
    def artful(q: str) -> tuple:
        """Give more than is said."""
        return f"art {q}", {"art": q}

    return [talks, fails, questions, artful]


def node(e, **options):
    """Return a node that calls tools."""
    return e.prebuilt.ToolNode(tools(e), **{"handle_tool_errors": True, **options})


def graph_of(e, compiled=None, **options):
    """Return a graph that only calls tools."""
    builder = wire(e, chat(e), "START tools END", tools=node(e, **options))
    return builder.compile(**(compiled or {}))


def ways(e):
    """Return what provides `tool_calls`."""
    return [e.prebuilt.ToolCallTransformer]


async def facts(reader, call):
    """Return what a call shows when it comes, what it tells, and what it shows at its end."""
    before = [call.tool_call_id, call.tool_name, call.input, call.output, call.completed]
    deltas = await reader.all(call)
    after = [call.output, call.error, call.completed, repr(call)]
    return [type(call).__name__, before, deltas, after]


async def calls(reader, run):
    """Return what all calls of a run show, each read when it comes."""
    found = []
    try:
        async for call in reader.each(run.tool_calls):
            found.append(await facts(reader, call))
    except Exception as error:
        found.append(error)
    return found


@watched("run.tools.calls", rows=ROWS)
async def one_by_one(e, reader):
    found = []
    for name in ("talks", "fails", "artful"):
        run = await reader.open(graph_of(e), asks((name, {"q": "z"})), transformers=ways(e))
        found += await calls(reader, run)
        found.append(shown(await reader.output(run)))
    return found


@watched("run.tools.log", rows=ROWS)
async def log(e, reader):
    found = []
    for name in ("talks", "fails", "artful"):
        run = await reader.open(graph_of(e), asks((name, {"q": "z"})), transformers=ways(e))
        found += await reader.log(run)
    return found


@watched("run.tools.log_without", rows=ROWS)
async def log_without(e, reader):
    """Nobody hears tools unless `tool_calls` is wanted."""
    run = await reader.open(graph_of(e), asks(("talks", {"q": "z"})))
    return [await reader.log(run), hasattr(run, "tool_calls")]


@watched("run.tools.read_later", rows=ROWS)
async def read_later(e, reader):
    """What a call told before somebody listened is gone."""
    given = asks(("talks", {"q": "z"}))
    run = await reader.open(graph_of(e), given, transformers=ways(e))
    kept = [call async for call in reader.each(run.tool_calls)]
    return [await facts(reader, call) for call in kept]


@watched("run.tools.several", rows=ROWS)
async def several(e, reader):
    given = asks(("talks", {"q": "y"}), ("artful", {"q": "z"}), ("talks", {"q": "x"}))
    run = await reader.open(graph_of(e), given, transformers=ways(e))
    kept = [call async for call in reader.each(run.tool_calls)]
    found = [[call.tool_call_id, call.tool_name, call.input, call.output] for call in kept]
    return sorted(found, key=str)


@watched("run.tools.failing", rows=(*ROWS, "6.7:errors"))
async def failing(e, reader):
    """A tool whose error ends the run."""
    given = asks(("fails", {"q": "z"}))
    run = await reader.open(graph_of(e, handle_tool_errors=False), given, transformers=ways(e))
    found = await calls(reader, run)
    run = await reader.open(graph_of(e, handle_tool_errors=False), given, transformers=ways(e))
    return [*found, *await reader.log(run)]


@watched("run.tools.asking", rows=(*ROWS, "6.7:interrupts"))
async def asking(e, reader):
    """A tool that asks is open until the run pauses, and starts again."""
    graph = graph_of(e, {"checkpointer": e.saver()})
    found = []
    for given in (asks(("questions", {"q": "z"})), e.types.Command(resume="yes")):
        run = await reader.open(graph, given, thread(), transformers=ways(e))
        found += [*await calls(reader, run), await reader.interrupts(run)]
    return found


@watched("run.tools.direct", rows=ROWS)
async def direct(e, reader):
    """Tools that are called by code of a node."""

    @tool
    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    def calling(state, config):
        double.invoke({"x": 2}, config)
        asked = {"type": "tool_call", "name": "double", "args": {"x": 5}, "id": "own"}
        return {"log": [double.invoke(asked, config).content]}

    graph = wire(e, Log, "START n END", n=calling).compile()
    return await calls(reader, await reader.open(graph, {"x": 1}, transformers=ways(e)))


@watched("run.tools.in_children", rows=(*ROWS, "6.9:handles"))
async def in_children(e, reader):
    """Calls belong to the graph that makes them."""
    inner = wire(e, chat(e), "START tools END", tools=node(e)).compile()
    graph = wire(e, chat(e), "START tools sub END", tools=node(e), sub=inner).compile()
    given = asks(("talks", {"q": "z"}))
    found = await calls(reader, await reader.open(graph, given, transformers=ways(e)))

    async def read(handle):
        return await calls(reader, handle)

    return found + await tree(reader, await reader.open(graph, given, transformers=ways(e)), read)


@watched("run.tools.with_a_model", rows=(*ROWS, "6.8:handles"))
async def with_a_model(e, reader):
    """A model that asks for a tool and answers, as agents do."""

    @tool
    def look(q: str) -> str:
        """Look."""
        return f"seen {q}"

    def route(state):
        return "tools" if state["messages"][-1].tool_calls else "__end__"

    def graph():
        model = aasking(ToolCaller()) if reader.is_async else asking_model(ToolCaller())
        nodes = {"model": model, "tools": e.prebuilt.ToolNode([look])}
        builder = wire(e, chat(e), "START model", "tools model", **nodes)
        builder.add_conditional_edges("model", route)
        return builder.compile()

    found = await calls(reader, await reader.open(graph(), HELLO, transformers=ways(e)))
    run = await reader.open(graph(), HELLO, transformers=ways(e))
    async for message in reader.each(run.messages):
        found.append([message.node, await reader.all(message.text)])
    run = await reader.open(graph(), HELLO, transformers=[*ways(e), *opt_in(e, "updates")])
    return [*found, *await reader.log(run)]


@watched("run.tools.deltas_are_a_channel", rows=(*ROWS, "6.4:channel"))
async def deltas_are_a_channel(e, reader):
    run = await reader.open(graph_of(e), asks(("talks", {"q": "z"})), transformers=ways(e))
    found = []
    async for call in reader.each(run.tool_calls):
        found += [type(call.output_deltas).__name__, await reader.all(call.output_deltas)]
        found += [await reader.all(call.output_deltas), await reader.all(call)]
    return found


@watched("run.tools.interleaved", rows=(*ROWS, "6.7:interleave"), drivers=("sync",))
async def interleaved(e, reader):
    given = asks(("talks", {"q": "z"}))
    run = await reader.open(graph_of(e), given, transformers=ways(e))
    found = []
    for kind, item in run.interleave("tool_calls", "values"):
        found.append([kind, list(item) if kind == "tool_calls" else shown(item)])
    return found


@watched("run.tools.together", rows=(*ROWS, "6.7:readers"), drivers=("async",))
async def together(e, reader):
    given = asks(("talks", {"q": "z"}))
    run = await reader.open(graph_of(e), given, transformers=ways(e))
    reading = calls(reader, run), reader.all(run.values, shown), reader.log(run)
    return list(await asyncio.gather(*reading))


@watched("run.tools.aborted", rows=(*ROWS, "6.7:abort"))
async def aborted(e, reader):
    given = asks(("talks", {"q": "z"}))
    run = await reader.open(graph_of(e), given, transformers=ways(e))
    calls = reader.iterator(run.tool_calls)
    [call] = await reader.some(calls, 1)
    deltas = reader.iterator(call)
    found = [await reader.some(deltas, 1)]
    await reader.abort(run)
    return [*found, await reader.all(calls), call.output, call.error]


@watched("run.tools.wrong_driver", rows=(*ROWS, "6.4:channel"))
async def wrong_driver(e, reader):
    given = asks(("talks", {"q": "z"}))
    run = await reader.open(graph_of(e), given, transformers=ways(e))
    found = []
    async for call in reader.each(run.tool_calls):
        if reader.is_async:
            found.append(await caught(lambda call=call: iter(call).__next__()))
        else:
            found.append(await caught(lambda call=call: call.__aiter__().__anext__()))
    return found


@watched("run.tools.agent", rows=(*ROWS, "6.6:lifecycle"))
async def agent(e, reader):
    """A tool that runs a graph: the child's start names the call it is there for."""
    inner = wire(e, chat(e), "START i END", i=lambda state: {"log": ["i"]}).compile()
    named = inner.with_config(metadata={"lc_agent_name": "helper"})

    def asking_for(graph):
        @tool
        def ask(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
            """Ask somebody else."""
            return str(graph.invoke({"messages": []}, runtime.config)["log"])

        @tool("ask")
        async def aask(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
            """Ask somebody else."""
            return str((await graph.ainvoke({"messages": []}, runtime.config))["log"])

        return aask if reader.is_async else ask

    found = []
    for graph in (inner, named):
        ask = asking_for(graph)
        outer = wire(e, chat(e), "START tools END", tools=e.prebuilt.ToolNode([ask])).compile()
        run = await reader.open(outer, asks(("ask", {"q": "z"})), transformers=ways(e))
        found.append(await reader.log(run))
        sent = wire(e, chat(e), "tools END", tools=e.prebuilt.ToolNode([ask]))
        sent.add_conditional_edges(
            "__start__",
            lambda state: [
                e.types.Send("tools", [dict(c) for c in state["messages"][-1].tool_calls])
            ],
            ["tools"],
        )
        run = await reader.open(sent.compile(), asks(("ask", {"q": "z"})), transformers=ways(e))
        found.append(await reader.log(run))
    return found
