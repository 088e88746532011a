"""`ToolNode` in graphs: inputs, what tools are given, errors, commands, interrupts.

No `from __future__ import annotations` here: signatures are read at run time.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId, ToolException, tool
from pydantic import BaseModel
from typing_extensions import NotRequired, TypedDict

from differential.kit import thread
from differential.registry import Matrix, call, program

TOGETHER = Matrix.TOGETHER


def tool_call(name, args=None, id="c1"):
    """Return a call as models make it."""
    return {"name": name, "args": args or {}, "id": id, "type": "tool_call"}


def calling(*calls):
    """Return the state of a conversation whose model just asked for these calls."""
    return {"messages": [AIMessage("", tool_calls=list(calls), id="ai")]}


def state_of(e):
    """Return a state schema with messages and two more keys."""

    class State(TypedDict):
        messages: Annotated[list, e.message.add_messages]
        topic: str
        mood: NotRequired[str]

    return State


def tools_graph(e, tools, schema=None, *, saver=None, store=None, context=None, **options):
    """Return a compiled graph of one `ToolNode`."""
    node = e.prebuilt.ToolNode(tools, **options)
    builder = e.graph.StateGraph(schema or state_of(e), context_schema=context)
    builder.add_node("tools", node).add_edge("__start__", "tools")
    return builder.compile(checkpointer=saver, store=store)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
async def slow_add(a: int, b: int) -> int:
    """Add without a sync version."""
    return a + b


@tool
def boom(a: int) -> int:
    """Fail."""
    raise ValueError(f"bad {a}")


@tool
def refuse(a: int) -> int:
    """Fail the way tools should."""
    raise ToolException(f"refused {a}")


def plain(a: int) -> str:
    """Be a function."""
    return f"plain {a}"


@program("tools.calls", rows=("4.7:inputs",), matrix=TOGETHER)
def calls(e):
    graph = tools_graph(e, [add, plain])
    return graph, [
        call(calling(tool_call("add", {"a": 1, "b": 2}))),
        call(calling(tool_call("plain", {"a": 1}), tool_call("add", {"a": 1, "b": 2}, "c2"))),
        call(calling()),
        call({"messages": [HumanMessage("hi", id="h")]}),
        call({"topic": "no messages"}),
        call({"messages": [*calling(tool_call("plain", {"a": 2}))["messages"], HumanMessage("h")]}),
    ]


@program("tools.async_only", rows=("4.7:inputs",), matrix=TOGETHER)
def async_only(e):
    one, two = (tool_call("slow_add", {"a": 1, "b": b}, f"c{b}") for b in (1, 2))
    return tools_graph(e, [slow_add]), [call(calling(one)), call(calling(one, two))]


@program("tools.state_classes", rows=("4.7:inputs", "4.7:state"), matrix=TOGETHER)
def state_classes(e):
    class Model(BaseModel):
        messages: Annotated[list, e.message.add_messages]
        topic: str = "t"

    @tool
    def kind(state: Annotated[Any, e.prebuilt.InjectedState]) -> str:
        """Say what it got."""
        return type(state).__name__

    @tool
    def topic(topic: Annotated[str, e.prebuilt.InjectedState("topic")]) -> str:
        """Say the topic."""
        return topic

    two = calling(tool_call("kind"), tool_call("topic", id="c2"))
    return tools_graph(e, [kind, topic], Model), [call(two)]


@program("tools.dataclass_state", rows=("4.7:state",), matrix=TOGETHER)
def dataclass_state(e):
    @dataclass
    class State:
        messages: Annotated[list, e.message.add_messages]
        topic: str = "t"

    @tool
    def kind(
        state: Annotated[Any, e.prebuilt.InjectedState],
        topic: Annotated[str, e.prebuilt.InjectedState("topic")],
        none: Annotated[Any, e.prebuilt.InjectedState("none")] = "default",
    ) -> str:
        """Say what it got."""
        return f"{type(state).__name__} {topic} {none}"

    return tools_graph(e, [kind], State), [call(calling(tool_call("kind")))]


@program("tools.sent_calls", rows=("4.7:inputs", "4.7:state"), matrix=TOGETHER, unordered=True)
def sent_calls(e):
    @tool
    def topic(a: int, topic: Annotated[str, e.prebuilt.InjectedState("topic")]) -> str:
        """Say the topic."""
        return f"{a} {topic}"

    @tool
    def keys(state: Annotated[dict, e.prebuilt.InjectedState]) -> str:
        """Say the keys."""
        return ", ".join(sorted(state))

    def send(state):
        calls = state["messages"][-1].tool_calls
        if state["topic"] == "with context":
            kind = "tool_call_with_context"
            return [
                e.types.Send("tools", {"__type": kind, "tool_call": c, "state": state})
                for c in calls
            ]
        return [e.types.Send("tools", [c]) for c in calls]

    node = e.prebuilt.ToolNode([topic, keys])
    builder = e.graph.StateGraph(state_of(e)).add_node("tools", node)
    graph = builder.add_conditional_edges("__start__", send, ["tools"]).compile()
    two = calling(tool_call("topic", {"a": 1}), tool_call("keys", id="c2"))
    return graph, [call({**two, "topic": "sent"}), call({**two, "topic": "with context"})]


@program("tools.state", rows=("4.7:state",), matrix=TOGETHER)
def injected_state(e):
    injected = e.prebuilt.InjectedState

    @tool
    def whole(x: int, state: Annotated[dict, injected]) -> str:
        """Take it all."""
        return f"{x} {sorted(state)}"

    @tool
    def one(x: int, topic: Annotated[str, injected("topic")]) -> str:
        """Take one field."""
        return f"{x} {topic}"

    @tool
    def maybe(mood: Annotated[str, injected("mood")] = "unknown") -> str:
        """Take a field that may be missing."""
        return f"{mood}"

    @tool
    def must(mood: Annotated[str, injected("mood")]) -> str:
        """Take a field that must be there."""
        return mood

    @tool
    def wrong(topic: Annotated[int, injected("topic")]) -> str:
        """Take a field of another type."""
        return f"{topic}"

    graph = tools_graph(e, [whole, one, maybe, must, wrong])
    lies = {"x": 1, "state": {"lie": 1}, "topic": "lie", "mood": "lie"}
    return graph, [
        call({**calling(tool_call("whole", {"x": 1}), tool_call("maybe", {}, "c2")), "topic": "t"}),
        call({**calling(tool_call("one", {"x": 1})), "topic": "t", "mood": "good"}),
        call({**calling(tool_call("maybe")), "topic": "t", "mood": "good"}),
        call({**calling(tool_call("must")), "topic": "t"}, differs="missing-state-key"),
        call({**calling(tool_call("wrong")), "topic": "t"}),
        *(call({**calling(tool_call(n, lies)), "topic": "t"}) for n in ("whole", "one", "maybe")),
        call({**calling(tool_call("one", {"x": "no"})), "topic": "t"}),
    ]


@program("tools.given", rows=("4.7:runtime", "4.7:config", "4.7:call_id"), matrix=TOGETHER)
def given(e):
    @dataclass
    class Context:
        user: str

    @tool
    def typed(x: int, anything: e.prebuilt.ToolRuntime) -> str:
        """Take the runtime by type."""
        r = anything
        return repr(
            {
                "state": sorted(r.state),
                "context": getattr(r.context, "user", None),
                "config": sorted(r.config),
                "id": r.tool_call_id,
                "store": type(r.store).__name__,
                "tools": [t.name for t in r.tools],
                "info": type(r.execution_info).__name__,
                "server": r.server_info,
            }
        )

    @tool
    def named(runtime) -> str:
        """Take the runtime by name."""
        runtime.stream_writer("through the runtime")
        runtime.emit_output_delta("nobody asked")
        return f"{type(runtime).__name__} {runtime.tool_call_id}"

    @tool
    def parametrised(r: e.prebuilt.ToolRuntime[Context, dict]) -> str:
        """Take the runtime with its types."""
        return r.context.user if r.context else "nobody"

    @tool
    def others(config: RunnableConfig, call_id: Annotated[str, InjectedToolCallId]) -> str:
        """Take what LangChain injects."""
        e.config.get_stream_writer()("through the context")
        facts = (config["metadata"]["langgraph_node"], config["configurable"].get("user"))
        return f"{facts} {call_id}"

    tools = [typed, named, parametrised, others]
    graph = tools_graph(e, tools, context=Context, store=e.store())
    names = [t.name for t in tools]
    args = {"typed": {"x": 1}}
    conf = {"configurable": {"user": "u"}}
    return graph, [
        *(call(calling(tool_call(n, args.get(n)))) for n in names),
        call(calling(tool_call("typed", {"x": "no"}))),
        call(calling(tool_call("parametrised")), context=Context("ann")),
        call(calling(tool_call("others")), conf),
    ]


@program("tools.store", rows=("4.7:store",), matrix=TOGETHER)
def injected_store(e):
    @tool
    def remember(x: str, store: Annotated[Any, e.prebuilt.InjectedStore()]) -> str:
        """Remember."""
        before = store.get(("facts",), "last")
        store.put(("facts",), "last", {"x": x})
        return f"before: {before and before.value}"

    graph = tools_graph(e, [remember], store=e.store())
    return graph, [call(calling(tool_call("remember", {"x": x}))) for x in "ab"]


@program("tools.no_store", rows=("4.7:store",), matrix=TOGETHER)
def no_store(e):
    @tool
    def remember(store: Annotated[Any, e.prebuilt.InjectedStore]) -> str:
        """Remember."""
        return "never"

    return tools_graph(e, [remember]), [call(calling(tool_call("remember")))]


def _failing(e, **options):
    graph = tools_graph(e, [add, boom, refuse], **options)
    return graph, [
        call(calling(tool_call("boom", {"a": 1}))),
        call(calling(tool_call("refuse", {"a": 1}))),
        call(calling(tool_call("add", {"a": "x"}))),
        call(calling(tool_call("nope"))),
        call(calling(tool_call("add", {"a": 1, "b": 1}), tool_call("boom", {"a": 1}, "c2"))),
    ]


@program("tools.errors_default", rows=("4.7:errors",), matrix=TOGETHER)
def errors_default(e):
    return _failing(e)


@program("tools.errors_all", rows=("4.7:errors",), matrix=TOGETHER)
def errors_all(e):
    return _failing(e, handle_tool_errors=True)


@program("tools.errors_none", rows=("4.7:errors",), matrix=TOGETHER)
def errors_none(e):
    return _failing(e, handle_tool_errors=False)


@program("tools.errors_function", rows=("4.7:errors",), matrix=TOGETHER)
def errors_function(e):
    def explain(error: ValueError) -> str:
        return f"explained {error}"

    return _failing(e, handle_tool_errors=explain)


@program("tools.handoff", rows=("4.7:commands",), matrix=TOGETHER)
def handoff(e):
    """A tool of an agent hands over to another agent of the parent graph."""

    @tool
    def to_bob(call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Hand over."""
        done = ToolMessage("handed over", tool_call_id=call_id, id="tm")
        update = {"messages": [done], "topic": "from tool"}
        return e.types.Command(graph=e.types.Command.PARENT, goto="bob", update=update)

    def bob(state):
        return {"topic": state["topic"] + "!"}

    schema = state_of(e)
    builder = e.graph.StateGraph(schema).add_node("alice", tools_graph(e, [to_bob], schema))
    graph = builder.add_node("bob", bob).add_edge("__start__", "alice").compile()
    return graph, [call({**calling(tool_call("to_bob")), "topic": "start"})]


@program("tools.parallel_handoff", rows=("4.7:commands",), matrix=TOGETHER)
def parallel_handoff(e):
    """Commands that send to the parent become one."""

    @tool
    def to(who: str) -> Any:
        """Hand over."""
        send = e.types.Send(who, {"topic": f"for {who}"})
        return e.types.Command(graph=e.types.Command.PARENT, goto=[send])

    def agent(state):
        return {"messages": [HumanMessage(state["topic"], id=state["topic"])]}

    schema = state_of(e)
    builder = e.graph.StateGraph(schema).add_node("alice", tools_graph(e, [to], schema))
    builder.add_node("bob", agent).add_node("carl", agent)
    graph = builder.add_edge("__start__", "alice").compile()
    two = calling(tool_call("to", {"who": "bob"}), tool_call("to", {"who": "carl"}, "c2"))
    return graph, [call({**two, "topic": "start"})]


@program("tools.command_and_message", rows=("4.7:commands",), matrix=TOGETHER)
def command_and_message(e):
    @tool
    def steer(call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Go to a node."""
        done = ToolMessage("steered", tool_call_id=call_id, id="tm")
        return e.types.Command(goto="next", update={"messages": [done], "topic": "new"})

    @tool
    def silent() -> Any:
        """Forget to answer."""
        return e.types.Command(update={"topic": "new"})

    builder = e.graph.StateGraph(state_of(e))
    builder.add_node("tools", e.prebuilt.ToolNode([steer, silent, plain]))
    builder.add_node("next", lambda state: {"mood": state["topic"]})
    graph = builder.add_edge("__start__", "tools").compile()
    return graph, [
        call({**calling(tool_call("plain", {"a": 1}), tool_call("steer", id="c2")), "topic": ""}),
        call({**calling(tool_call("silent")), "topic": ""}),
    ]


@program("tools.interrupt", rows=("4.7:interrupts",), matrix=TOGETHER)
def interrupted(e):
    @tool
    def ask(question: str) -> str:
        """Ask a human."""
        return f"they said {e.types.interrupt(question)}"

    graph = tools_graph(e, [ask, plain], saver=e.saver(), handle_tool_errors=True)
    first = calling(tool_call("ask", {"question": "?"}))
    return graph, [
        call(first, thread("one")),
        call(e.types.Command(resume="yes"), thread("one")),
        call(
            calling(tool_call("plain", {"a": 1}), tool_call("ask", {"question": "2"}, "c2")),
            thread("two"),
        ),
        call(e.types.Command(resume="no"), thread("two")),
    ]


@program("tools.loop", rows=("4.7:condition",), matrix=TOGETHER)
def loop(e):
    """A model in a loop with its tools."""

    def model(state):
        answers = [m for m in state["messages"] if isinstance(m, ToolMessage)]
        if len(answers) == 2:
            return {"messages": [AIMessage("done", id="last")]}
        step = len(answers)
        asked = tool_call("add", {"a": step, "b": 1}, f"c{step}")
        return {"messages": [AIMessage("", tool_calls=[asked], id=f"ai{step}")]}

    builder = e.graph.StateGraph(state_of(e)).add_node("model", model)
    builder.add_node("tools", e.prebuilt.ToolNode([add])).add_edge("__start__", "model")
    builder.add_conditional_edges("model", e.prebuilt.tools_condition)
    graph = builder.add_edge("tools", "model").compile()
    return graph, [call({"messages": [HumanMessage("add", id="h")]})]
