"""The `tools` stream: when tools start and end, and what they emit.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
from typing import Annotated

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from typing_extensions import TypedDict

from differential.kit import Log, wire
from differential.registry import attempt, invoke, probe, stream

ROWS = ("2.10:events",)


def chat(e):
    """Return a state of messages."""

    class Chat(TypedDict):
        messages: Annotated[list, e.message.add_messages]

    return Chat


def asks(*calls):
    """Return an input whose last message asks for tools, by name, with their arguments."""
    made = [
        {"name": name, "args": args, "id": f"c{index}"} for index, (name, args) in enumerate(calls)
    ]
    return {"messages": [AIMessage("", id="ai", tool_calls=made)]}


def tools_of(e):
    """Return tools that talk, fail, are silent, and call another tool."""

    @tool
    def talks(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
        """Emit two parts."""
        runtime.emit_output_delta("d1")
        runtime.stream_writer({"custom": q})
        runtime.emit_output_delta({"any": 2})
        return f"said {q}"

    @tool
    async def atalks(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
        """Emit two parts."""
        runtime.emit_output_delta("a1")
        await asyncio.sleep(0)
        runtime.emit_output_delta("a2")
        return f"said {q}"

    @tool
    def fails(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
        """Fail."""
        runtime.emit_output_delta("before")
        raise ValueError("tool boom")

    @tool(response_format="content_and_artifact")
    def artful(q: str):
        """Return an artifact too."""
        return q, {"artifact": 1}

    @tool
    def commands(q: str, runtime: e.prebuilt.ToolRuntime):
        """Return a command."""
        return e.types.Command(update={"messages": [e_message(runtime.tool_call_id)]})

    @tool
    def outer(q: str, runtime: e.prebuilt.ToolRuntime) -> str:
        """Call another tool."""
        runtime.emit_output_delta("outer before")
        artful.invoke({"q": q})
        runtime.emit_output_delta("outer after")
        return "outer"

    return [talks, atalks, fails, artful, commands, outer]


def e_message(call_id):
    """Return the message that a command must have."""
    from langchain_core.messages import ToolMessage

    return ToolMessage("commanded", tool_call_id=call_id)


def tool_graph(e, **options):
    """Return a graph of one node that runs tools."""
    node = e.prebuilt.ToolNode(tools_of(e), **{"handle_tool_errors": True, **options})
    return wire(e, chat(e), "START tools END", tools=node).compile()


@probe("tools_mode.one", rows=ROWS)
def one(e, driver):
    found = []
    graph = tool_graph(e)
    names = ["talks", "fails", "artful", "commands", "outer", "nobody"]
    for name in [*names, "atalks"] if driver == "async" else names:
        found += stream(driver, graph, asks((name, {"q": "z"})), stream_mode="tools")
    return found


@probe("tools_mode.shapes", rows=ROWS)
def shapes(e, driver):
    given = asks(("talks", {"q": "z"}))
    found = []
    graph = tool_graph(e)
    for kwargs in (
        {"stream_mode": ["tools"]},
        {"stream_mode": ["tools", "custom", "updates"]},
        {"stream_mode": "tools", "subgraphs": True},
        {"stream_mode": "tools", "version": "v2"},
        {"stream_mode": ["tools", "values"], "version": "v2", "subgraphs": True},
    ):
        found += [kwargs, *stream(driver, graph, given, **kwargs)]
    found.append(invoke(driver, graph, given, stream_mode="tools"))
    return found


@probe("tools_mode.several", rows=ROWS)
def several(e, driver):
    given = asks(("talks", {"q": "y"}), ("artful", {"q": "z"}), ("talks", {"q": "x"}))
    items = stream(driver, tool_graph(e), given, stream_mode="tools")
    # Calls run side by side; each has its own events in order.
    return sorted(items, key=lambda item: item["tool_call_id"])


@probe("tools_mode.failures", rows=ROWS)
def failures(e, driver):
    found = []
    graph = tool_graph(e, handle_tool_errors=False)

    async def collect():
        async for item in graph.astream(asks(("fails", {"q": "z"})), stream_mode="tools"):
            found.append(item)

    def run():
        if driver == "async":
            asyncio.run(collect())
        else:
            found.extend(graph.stream(asks(("fails", {"q": "z"})), stream_mode="tools"))

    return [attempt(run), found, *stream(driver, graph, asks(("talks", {})), stream_mode="tools")]


@probe("tools_mode.direct", rows=ROWS)
def direct(e, driver):
    """Tools that are called by code of a node have the ids of their runs."""

    @tool
    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    def node(state):
        double.invoke({"x": 2})
        double.with_config(run_name="renamed", tags=["mine"]).invoke({"x": 3})
        double.with_config(tags=["nostream"]).invoke({"x": 4})
        double.invoke({"type": "tool_call", "name": "double", "args": {"x": 5}, "id": "own"})
        return {"log": [double.invoke({"x": 6})]}

    async def anode(state):
        await double.ainvoke({"x": 2})
        return {"log": [double.invoke({"x": 7})]}

    nodes = {"n": node, "an": anode if driver == "async" else node}
    graph = wire(e, Log, "START n an END", **nodes).compile()
    items = stream(driver, graph, {"x": 1}, stream_mode="tools")
    shown = [{**item, "tool_call_id": len(item["tool_call_id"])} for item in items]
    return [shown, [len({item["tool_call_id"] for item in items})]]


@probe("tools_mode.nested", rows=ROWS)
def nested(e, driver):
    inner = tool_graph(e)

    def calling(state):
        return {"messages": inner.invoke(asks(("artful", {"q": "in"})))["messages"][-1:]}

    async def acalling(state):
        result = await inner.ainvoke(asks(("artful", {"q": "in"})))
        return {"messages": result["messages"][-1:]}

    call = calling if driver == "sync" else acalling
    graph = wire(e, chat(e), "START sub call END", sub=inner, call=call).compile()
    given = asks(("talks", {"q": "z"}))
    found = []
    for subgraphs in (False, True):
        found += stream(driver, graph, given, stream_mode="tools", subgraphs=subgraphs)
        found.append(subgraphs)
    mode = ["tools", "updates"]
    return [*found, *stream(driver, graph, given, stream_mode=mode, subgraphs=False)]


@probe("tools_mode.two_readers", rows=ROWS, differs="output-for-every-reader")
def two_readers(e, driver):
    """A node reads the stream of a graph that it calls, and so does the caller."""
    inner = tool_graph(e)

    def listening(state):
        items = list(inner.stream(asks(("talks", {"q": "own"})), stream_mode="tools"))
        return {"messages": [AIMessage(str(len(items)), id="n")]}

    graph = wire(e, chat(e), "START own END", own=listening).compile()
    return stream(driver, graph, asks(), stream_mode=["tools", "updates"], subgraphs=True)


@probe("tools_mode.printed", rows=ROWS)
def printed(e, driver):
    @tool
    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    graph = wire(e, Log, "START n END", n=lambda state: {"log": [double.invoke({"x": 2})]})
    return stream(driver, graph.compile(), {"x": 1}, print_mode="tools")


@probe("tools_mode.questions", rows=ROWS)
def questions(e, driver):
    @tool
    def asking(q: str) -> str:
        """Ask."""
        return e.types.interrupt(q)

    node = e.prebuilt.ToolNode([asking])
    graph = wire(e, chat(e), "START tools END", tools=node).compile(checkpointer=e.saver())
    config = {"configurable": {"thread_id": "1"}}
    command = e.types.Command(resume="yes")
    return [
        *stream(driver, graph, asks(("asking", {"q": "z"})), config, stream_mode="tools"),
        *stream(driver, graph, command, config, stream_mode="tools"),
    ]


@probe("tools_mode.tasks", rows=ROWS)
def tasks(e, driver):
    @tool
    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    @e.func.task
    def call(x):
        return double.invoke({"type": "tool_call", "name": "double", "args": {"x": x}, "id": "t"})

    @e.func.entrypoint()
    def flow(n):
        return call(n).result().content

    @e.func.entrypoint()
    async def aflow(n):
        return (await call(n)).content

    graph = flow if driver == "sync" else aflow
    return stream(driver, graph, 1, stream_mode="tools", subgraphs=True)


@probe("tools_mode.with_handlers", rows=ROWS)
def with_handlers(e, driver):
    """Other callbacks change nothing."""
    from langchain_core.callbacks import BaseCallbackHandler

    config = {"callbacks": [BaseCallbackHandler()], "tags": ["t"]}
    given = asks(("talks", {"q": "z"}), ("artful", {"q": "y"}))
    items = stream(driver, tool_graph(e), given, config, stream_mode="tools")
    return sorted(items, key=lambda item: item["tool_call_id"])
