"""`messages` mode across graphs, tasks and tools: whose tokens are seen, and under which name.

No `from __future__ import annotations` here: signatures are read at run time.
"""

import asyncio

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from differential.kit import thread, wire
from differential.models import AsyncTypist, Typist, Whole
from differential.programs.messages import (
    HELLO,
    SPOKEN,
    SPOKEN_AND_SAVED,
    TOGETHER,
    aasking,
    asking,
    chat,
    spoken,
)
from differential.registry import Matrix, call, program


def child(e, model=None, **nodes):
    """Compile a graph of one node, `c`, which asks a model.

    The id is fixed, because a model that nobody hears has another kind of id: see `quiet_child`.
    """
    nodes = nodes or {"c": asking(model or Typist(text="in child", fixed="c"))}
    return wire(e, chat(e), f"START {' '.join(nodes)} END", **nodes).compile()


@spoken("messages.subgraph", modes=SPOKEN, rows=(
    "3.6:subgraph_hidden", "3.6:subgraph_shown", "3.6:returned_by_subgraph", "3.6:own_graph",
))  # fmt: skip
def subgraph(e):
    nodes = {"a": asking(Typist()), "sub": child(e), "b": asking(Whole())}
    return wire(e, chat(e), "START a sub b END", **nodes).compile(), [call(HELLO)]


@program("messages.quiet_child", modes=("messages",), matrix=TOGETHER, rows=(
    "3.6:subgraph_hidden",
), differs="quiet-children")  # fmt: skip
def quiet_child(e):
    return wire(e, chat(e), "START n END", n=child(e, Typist())).compile(), [call(HELLO)]


@spoken("messages.deep", modes=SPOKEN, rows=("3.6:deep", "3.6:returned_by_subgraph"))
def deep(e):
    middle = child(e, m=asking(Whole(text="in middle")), leaf=child(e))
    return wire(e, chat(e), "START top END", top=middle).compile(), [call(HELLO)]


@spoken("messages.async_subgraph", modes=SPOKEN, drivers=("async",), matrix=TOGETHER, rows=(
    "3.6:deep", "4.8:async_model",
))  # fmt: skip
def async_subgraph(e):
    inner = child(e, c=aasking(AsyncTypist(text="in child", fixed="c")))

    async def node(state):
        return await inner.ainvoke({"messages": [HumanMessage("q", id="q")]})

    return wire(e, chat(e), "START sub n END", sub=inner, n=node).compile(), [call(HELLO)]


@spoken("messages.called_child", modes=SPOKEN, matrix=TOGETHER, rows=("3.6:several_calls",))
def called_child(e):
    inner = child(e)

    def two(state):
        first = inner.invoke({"messages": "1"})["messages"][-1]
        second = inner.invoke({"messages": "2"})["messages"][-1]
        third = child(e, Whole()).invoke({"messages": "3"})["messages"][-1]
        return {"messages": [second], "log": [first.content, third.content]}

    return wire(e, chat(e), "START two END", two=two).compile(), [call(HELLO)]


@spoken("messages.inner_stream", modes=SPOKEN, rows=("3.6:inner_stream", "3.6:own_modes"))
def inner_stream(e):
    inner = child(e)

    def node(state):
        asked = {"messages": [HumanMessage("q", id="q")]}
        said = [message.content for message, _ in inner.stream(asked, stream_mode="messages")]
        others = [list(item) for item in inner.stream(asked, stream_mode="updates")]
        both = [mode for mode, _ in inner.stream(asked, stream_mode=["updates", "messages"])]
        return {"log": [said, others, both]}

    return wire(e, chat(e), "START n END", n=node).compile(), [call(HELLO)]


@spoken("messages.inner_stream_metadata", modes=SPOKEN, matrix=TOGETHER, rows=("3.6:inner_stream",))
def inner_stream_metadata(e):
    middle = child(e, m=asking(Whole(text="middle")), leaf=child(e))

    def node(state):
        seen = [
            [
                [segment.split(":")[0] for segment in namespace],
                message.content,
                where["langgraph_node"],
            ]
            for namespace, (message, where) in middle.stream(
                {"messages": "q"}, stream_mode="messages", subgraphs=True
            )
        ]
        flat = [m.content for m, _ in middle.stream({"messages": "q"}, stream_mode="messages")]
        return {"log": [seen, flat]}

    return wire(e, chat(e), "START n END", n=node).compile(), [call(HELLO)]


@program("messages.own_thread", modes=SPOKEN_AND_SAVED, matrix=TOGETHER, rows=(
    "3.6:own_thread",
), differs="own-thread")  # fmt: skip
def own_thread(e):
    inner = wire(e, chat(e), "START c END", c=asking(Typist())).compile(checkpointer=e.saver())

    def node(state):
        said = inner.invoke({"messages": [HumanMessage("q", id="q")]}, thread("another"))
        return {"log": [said["messages"][-1].content]}

    graph = wire(e, chat(e), "START n END", n=node).compile(checkpointer=e.saver())
    return graph, [call(HELLO, thread())]


@program("messages.tools", modes=SPOKEN, rows=("3.6:tools",), unordered=True)
def tools(e):
    @tool
    def write(about: str) -> str:
        """Write."""
        return Typist(text=f"on {about}", tags=["writer"]).invoke(about).content

    @tool
    def delegate(about: str, config: RunnableConfig) -> str:
        """Have a graph write."""
        return child(e).invoke({"messages": about}, config)["messages"][-1].content

    def ask(name, about):
        return {"name": name, "args": {"about": about}, "id": f"c-{name}", "type": "tool_call"}

    graph = wire(e, chat(e), "START tools END", tools=e.prebuilt.ToolNode([write, delegate]))
    asked = AIMessage("", tool_calls=[ask("write", "x"), ask("delegate", "y")], id="ai")
    alone = AIMessage("", tool_calls=[ask("write", "z")], id="ai")
    return graph.compile(), [call({"messages": [asked]}), call({"messages": [alone]})]


@spoken("messages.functions", modes=SPOKEN_AND_SAVED, rows=(
    "3.6:task", "3.6:entrypoint", "3.7:task", "3.7:entrypoint",
))  # fmt: skip
def functions(e):
    @e.func.task
    def inner(topic):
        return Typist(text=f"inner {topic}", tags=["t"]).invoke(topic)

    @e.func.task
    def outer(topic):
        said = Typist(text=f"outer {topic}").invoke(topic)
        return [said.content, inner(topic).result().content]

    @e.func.task
    def whole(topic):
        return {"messages": [AIMessage(topic, id="made")]}

    @e.func.entrypoint(checkpointer=e.saver())
    def flow(topic):
        said = outer(topic).result()
        whole(topic).result()
        return {"said": said, "messages": [Whole().invoke(topic), AIMessage("own", id="own")]}

    return flow, [call("x", thread(user="u")), call("y", thread(user="u"))]


@spoken("messages.async_functions", modes=SPOKEN, drivers=("async",), matrix=TOGETHER, rows=(
    "3.6:task", "3.7:task",
))  # fmt: skip
def async_functions(e):
    @e.func.task
    async def said(topic):
        return (await AsyncTypist(text=f"said {topic}").ainvoke(topic)).content

    @e.func.entrypoint()
    async def flow(topic):
        first = await said(topic)
        return [first, await said(first)]

    return flow, [call("x")]


@spoken("messages.task_in_node", modes=SPOKEN, matrix=TOGETHER, rows=("3.6:task",))
def task_in_node(e):
    @e.func.task
    def said(topic):
        return child(e).invoke({"messages": topic})["messages"][-1]

    def node(state):
        return {"messages": [said("x").result()]}

    return wire(e, chat(e), "START n END", n=node).compile(), [call(HELLO)]


@spoken("messages.functional_child", modes=SPOKEN, matrix=TOGETHER, rows=("3.6:entrypoint",))
def functional_child(e):
    @e.func.task
    def said(topic):
        return Typist(text=topic).invoke(topic).content

    @e.func.entrypoint()
    def flow(topic):
        return said(topic).result()

    graph = wire(e, chat(e), "START n END", n=lambda s: {"log": [flow.invoke("deep down")]})
    return graph.compile(), [call(HELLO)]


@spoken("messages.sends", modes=SPOKEN, rows=("3.7:send", "3.10:parallel"), unordered=True)
def sends(e):
    def fan(state):
        return [e.types.Send("c", {"messages": [HumanMessage(n, id=n)]}) for n in ("1", "2")]

    def node(state):
        name = state["messages"][0].content
        return {"messages": [Typist(text=f"{name} on").invoke("x"), state["messages"][0]]}

    builder = wire(e, chat(e), "START a", "c END", a=asking(Typist()), c=node)
    return builder.add_conditional_edges("a", fan).compile(), [call(HELLO)]


@program("messages.sent_values", modes=SPOKEN, matrix=TOGETHER, rows=("3.4:input_ids",))
def sent_values(e):
    echoes = {
        "one": lambda message: {"messages": message},
        "many": lambda messages: {"messages": messages},
        "deep": lambda state: {"messages": state["x"]["y"]},
    }
    sent = {
        "one": AIMessage("o", id="o"),
        "many": [AIMessage("m", id="m")],
        "deep": {"x": {"y": [AIMessage("d", id="d")]}},
    }
    builder = wire(e, chat(e), *(f"{name} END" for name in echoes), **echoes)
    builder.add_conditional_edges(
        "__start__", lambda s: e.types.Send(s["last"], sent[s["last"]]), list(echoes)
    )
    return builder.compile(), [call({**HELLO, "last": name}) for name in echoes]


@spoken("messages.parallel", modes=SPOKEN, rows=("3.10:parallel",), unordered=True)
def parallel(e):
    nodes = {
        "a": asking(Typist(text="a b c")),
        "b": asking(Typist(text="d e f")),
        "sub": child(e),
        "w": lambda s: {"messages": AIMessage("w", id="w")},
    }
    return wire(e, chat(e), *(f"START {n} END" for n in nodes), **nodes).compile(), [call(HELLO)]


@spoken("messages.parallel_async", modes=SPOKEN, drivers=("async",), rows=(
    "3.10:parallel",
), unordered=True)  # fmt: skip
def parallel_async(e):
    async def both(state):
        said = await asyncio.gather(*(AsyncTypist(fixed=i).ainvoke("x") for i in "12"))
        return {"messages": said}

    nodes = {"a": aasking(AsyncTypist(text="a b c")), "sub": child(e), "z": aasking(Typist())}
    graph = wire(e, chat(e), *(f"START {n} END" for n in nodes), "z both END", both=both, **nodes)
    return graph.compile(), [call(HELLO)]


@spoken("messages.command_to_parent", modes=SPOKEN, matrix=TOGETHER, rows=("3.3:command",))
def command_to_parent(e):
    command = e.types.Command

    def leave(state):
        said = [Typist(fixed="c").invoke("x"), AIMessage("made", id="made")]
        return command(graph=command.PARENT, goto="b", update={"messages": said})

    nodes = {"sub": child(e, leave=leave), "b": lambda s: {"messages": s["messages"]}}
    graph = wire(e, chat(e), "START sub", "b END", **nodes)
    return graph.compile(), [call(HELLO)]


@spoken("messages.visible_by_call", modes=SPOKEN, matrix=Matrix.AS_WRITTEN, rows=(
    "3.1:invoke", "3.6:subgraph_hidden",
))  # fmt: skip
def visible_by_call(e):
    graph = wire(e, chat(e), "START a sub END", a=asking(Typist()), sub=child(e)).compile()
    bound = graph.with_config(tags=["bound"], metadata={"m": 1})
    return bound, [
        call(HELLO, stream_mode="messages"),
        call(HELLO, stream_mode=["messages"]),
        call(HELLO, stream_mode="messages", subgraphs=True),
        call(HELLO, stream_mode=["messages"], subgraphs=True),
        call(HELLO, stream_mode="messages", version="v2"),
        call(HELLO, stream_mode=["messages", "values"], version="v2", subgraphs=True),
    ]
