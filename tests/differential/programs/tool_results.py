"""`ToolNode` called by itself: what it makes of each kind of output, wrappers, small functions.

No `from __future__ import annotations` here: signatures are read at run time.
"""

import asyncio
import inspect
from typing import Annotated, Any

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from pydantic import BaseModel

from differential.programs.tools import add, calling, plain, tool_call
from differential.registry import attempt, probe


def answer(content="ok", id="c1", **fields):
    """Return a message that answers a call."""
    return ToolMessage(content, tool_call_id=id, id="tm", **fields)


def returning(output, name="out"):
    """Return a tool that returns `output`."""

    def run():
        return output

    return StructuredTool.from_function(run, name=name, description="Return it.")


def ask(e, driver, tools, input=None, **options):
    """Call a `ToolNode` that is in no graph."""
    node = e.prebuilt.ToolNode(tools, **options)
    config = {"configurable": {"__pregel_runtime": e.runtime.Runtime()}}
    input = calling(tool_call("out")) if input is None else input

    def run():
        if driver == "sync":
            return node.invoke(input, config)
        return asyncio.run(node.ainvoke(input, config))

    try:
        return run()
    except BaseException as error:
        # Signals are no `Exception` on one of the engines.
        return type(error).__name__, error.args


@probe("tools.outputs", rows=("4.7:outputs",))
def outputs(e, driver):
    class Thing:
        def __repr__(self):
            return "thing"

    blocks = ["text", "image_url", "image", "json", "search_result", "document", "file"]
    blocks += ["custom_tool_call_output", "audio", "video", "reasoning"]
    values = ["text", "", 5, 1.5, None, True, b"x", {"é": 1}, [1, 2], ["a"], [], ("a", 1), Thing()]
    values += [[{"type": kind}] for kind in blocks]
    values += [[{"type": "text", "text": "t"}, "s"], [{"a": 1}], {"a": Thing()}]
    values += [HumanMessage("h", id="h"), answer(), answer(id="other"), answer(name="own")]
    values += [answer(["a", {"b": 1}]), answer([{"type": "text", "text": "t"}])]
    facts = [ask(e, driver, [returning(value)]) for value in values]
    shaped = [e.prebuilt.tool_node.msg_content_output(value) for value in values]
    return [*facts, *shaped]


@probe("tools.lists", rows=("4.7:outputs",))
def lists(e, driver):
    command, parent = e.types.Command, e.types.Command.PARENT
    removed = RemoveMessage("__remove_all__")
    values = [
        [answer()],
        [answer(["a", {"b": 1}])],
        [answer(), answer("again")],
        [answer(id="other")],
        [answer(), answer(id="other")],
        [answer(), command(update={"messages": [HumanMessage("h", id="h")]})],
        [answer(), command(update={"messages": [answer("again")]})],
        [command(update={"messages": [answer()]}), command(goto="x")],
        [command(graph=parent, update={"messages": [answer()]})],
        [command(update={"messages": [removed]}), answer()],
        [command(update={"messages": [removed]})],
        [command(goto="x")],
        [command(goto="x"), 5],
    ]
    inputs = [calling(tool_call("out")), calling(tool_call("out"))["messages"]]
    return [ask(e, driver, [returning(value)], input) for value in values for input in inputs]


@probe("tools.commands", rows=("4.7:commands",))
def commands(e, driver):
    command, parent = e.types.Command, e.types.Command.PARENT
    messages = [
        [answer()],
        [],
        [answer(id="other")],
        [answer(), HumanMessage("h", id="h")],
        [answer(), answer("again")],
        [answer(name="own")],
        [RemoveMessage("__remove_all__"), answer()],
        [RemoveMessage("__remove_all__")],
        [RemoveMessage("other")],
        [{"role": "tool", "content": "x", "tool_call_id": "c1"}],
        ["text", answer()],
    ]
    values = [command(update={"messages": m, "topic": 1}) for m in messages]
    values += [command(update=m) for m in messages]
    values += [command(), command(goto="x"), command(update={}), command(update={"topic": 1})]
    values += [command(graph=parent, goto="x"), command(graph=parent, update={"topic": 1})]
    values += [command(graph=parent, update={"messages": m}) for m in messages[:3]]
    values += [command(graph="other", update={"topic": 1}), command(resume=1), command(update=5)]
    said = calling(tool_call("out"))
    inputs = [said, said["messages"], [tool_call("out")]]
    return [ask(e, driver, [returning(value)], input) for value in values for input in inputs]


@probe("tools.other_key", rows=("4.7:commands", "4.7:inputs"))
def other_key(e, driver):
    command = e.types.Command
    said = calling(tool_call("out"))["messages"]
    updates = [{"ms": [answer()]}, {"messages": [answer()]}]
    return [
        *(
            ask(e, driver, [returning(command(update=u))], {"ms": said}, messages_key="ms")
            for u in updates
        ),
        ask(e, driver, [returning(command(update=updates[0]))], said, messages_key="ms"),
        ask(e, driver, [returning("x")], {"ms": said}, messages_key="ms"),
        ask(e, driver, [returning("x")], {"messages": said}, messages_key="ms"),
        e.prebuilt.tools_condition({"ms": said}, messages_key="ms"),
    ]


@probe("tools.several_commands", rows=("4.7:commands",))
def several_commands(e, driver):
    command, parent, send = e.types.Command, e.types.Command.PARENT, e.types.Send
    pairs = [
        ("x", command(update={"messages": [answer(id="c2")]})),
        (command(goto="q"), "x"),
        (command(graph=parent, goto="x"), command(graph=parent, goto="y")),
        (command(graph=parent, goto=send("x", 1)), command(graph=parent, goto=[send("y", 2)])),
        (command(graph=parent, goto=[send("x", 1)]), command(graph=parent, goto=[send("y", 2)])),
        (command(graph=parent, goto=[send("x", 1), "z"]), command(graph=parent, goto=[])),
        (command(graph=parent, goto=[send("x", 1)]), command(graph=parent, goto="k")),
        (command(graph=parent, goto=[send("x", 1)]), "plain"),
        (command(goto=[send("x", 1)]), command(goto=[send("y", 1)])),
    ]
    both = calling(tool_call("a"), tool_call("b", id="c2"))
    return [
        ask(e, driver, [returning(first, "a"), returning(second, "b")], input)
        for first, second in pairs
        for input in (both, both["messages"])
    ]


@probe("tools.inputs", rows=("4.7:inputs",))
def inputs(e, driver):
    class Model(BaseModel):
        messages: list[Any]

    said = calling(tool_call("plain", {"a": 1}))["messages"]
    one = tool_call("plain", {"a": 1})
    context = {"__type": "tool_call_with_context", "tool_call": one, "state": {"messages": []}}
    untyped = {"name": "plain", "args": {"a": 1}, "id": "c1"}
    anonymous = {**one, "id": None}
    values = [said, [one], [one, tool_call("plain", {"a": 2}, "c2")], context, Model(messages=said)]
    values += [[], {}, {"messages": []}, None, "text", [untyped], [anonymous], [HumanMessage("h")]]
    return [ask(e, driver, [plain], value) for value in values]


@probe("tools.state_of_lists", rows=("4.7:state",), differs="missing-state-key")
def state_of_lists(e, driver):
    injected = e.prebuilt.InjectedState

    @tool
    def whole(a: Annotated[Any, injected], b: Annotated[Any, injected()]) -> str:
        """Take it all, twice."""
        return f"{a} {b}"

    @tool
    def messages(messages: Annotated[list, injected("messages")]) -> str:
        """Take the messages."""
        return f"{len(messages)}"

    @tool
    def topic(topic: Annotated[Any, injected("topic")] = "") -> str:
        """Take what a list does not have."""
        return "never"

    @tool
    def both(a: Annotated[Any, injected("messages")], b: Annotated[Any, injected]) -> str:
        """Take the messages and the state."""
        return "never"

    tools = [whole, messages, topic, both]
    said = [calling(tool_call(t.name))["messages"] for t in tools]
    alone = [[tool_call(t.name)] for t in tools]
    return [ask(e, driver, tools, value) for value in [*said, *alone]]


@probe("tools.hidden_parameters", rows=("4.7:state", "4.7:runtime", "4.7:store"))
def hidden_parameters(e, driver):
    prebuilt = e.prebuilt

    @tool
    def hides(
        x: int,
        runtime: prebuilt.ToolRuntime,
        state: Annotated[dict, prebuilt.InjectedState],
        topic: Annotated[str, prebuilt.InjectedState("topic")],
        store: Annotated[Any, prebuilt.InjectedStore()],
        again: prebuilt.ToolRuntime[Any, Any],
    ) -> str:
        """Hide all but one."""
        return "x"

    schema = hides.tool_call_schema.model_json_schema()
    return [sorted(hides.args), schema["properties"], schema["required"]]


@probe("tools.schemas_by_hand", rows=("4.7:state", "4.7:runtime"))
def schemas_by_hand(e, driver):
    prebuilt = e.prebuilt

    class Full(BaseModel):
        x: int
        topic: Annotated[str, prebuilt.InjectedState("topic")]

    class Bare(BaseModel):
        x: int

    @tool(args_schema=Full)
    def full(x, topic):
        """Have a schema that knows."""
        return f"{x} {topic}"

    @tool(args_schema=Bare)
    def bare(x, runtime: prebuilt.ToolRuntime, t: Annotated[str, prebuilt.InjectedState("topic")]):
        """Have a schema that does not know."""
        return f"{x} {runtime.tool_call_id} {t}"

    @tool(args_schema={"type": "object", "properties": {"x": {"type": "integer"}}})
    def loose(x, runtime: prebuilt.ToolRuntime):
        """Have a JSON schema."""
        return f"{x} {runtime.tool_call_id}"

    class Own(BaseTool):
        name: str = "own"
        description: str = "Be a class."

        def _run(self, x: int, runtime: prebuilt.ToolRuntime) -> str:
            return f"{x} {runtime.tool_call_id}"

    tools = [full, bare, loose, Own()]
    return [
        ask(e, driver, tools, {**calling(tool_call(t.name, {"x": 1})), "topic": "t"}) for t in tools
    ]


@probe("tools.condition", rows=("4.7:condition",))
def condition(e, driver):
    class Model(BaseModel):
        messages: list[Any]

    said = calling(tool_call("x"))["messages"]
    states = [said, [HumanMessage("h")], {"messages": said}, {"messages": [AIMessage("x")]}, [], {}]
    states += [
        {"messages": []},
        None,
        "text",
        5,
        Model(messages=said),
        {"messages": [{"role": "ai"}]},
    ]
    return [attempt(lambda state=state: e.prebuilt.tools_condition(state)) for state in states]


@probe("tools.signatures", rows=("4.7:attributes",))
def signatures(e, driver):
    prebuilt, module = e.prebuilt, e.prebuilt.tool_node
    node = prebuilt.ToolNode([add, plain], name="n", tags=["t"])
    functions = [module.tools_condition, prebuilt.ToolNode, prebuilt.InjectedState]
    functions += [prebuilt.ToolRuntime, module.ToolCallRequest, module.ToolInvocationError]
    functions += [module.ToolCallRequest.override, module.msg_content_output]

    def names(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, str(p.kind), p.default is p.empty) for p in parameters]

    return [
        *(names(function) for function in functions),
        [node.name, node.tags, node.trace, list(node.tools_by_name), node.get_name()],
        sorted(module.ToolCallWithContext.__annotations__),
        [prebuilt.InjectedState().field, prebuilt.InjectedState("f").field],
        [attempt(lambda v=v: prebuilt.ToolNode(v)) for v in (None, [5], [lambda: 1])],
    ]


@probe("tools.drawing", rows=("4.7:attributes",))
def drawing(e, driver):
    builder = e.graph.StateGraph(e.graph.MessagesState)
    builder.add_node("a", e.prebuilt.ToolNode([add, plain]), metadata={"k": 1})
    builder.add_node("b", e.prebuilt.ToolNode([]))
    builder.add_edge("__start__", "a").add_edge("a", "b")
    drawn = builder.compile(interrupt_before=["a"]).get_graph()
    return [[(n.id, n.name, n.metadata) for n in drawn.nodes.values()], drawn.draw_mermaid()]


@probe("tools.validation_node", rows=("4.7:validation_node",), warns=True)
def validation_node(e, driver):
    class Select(BaseModel):
        """Select."""

        number: int

    def func(a: int) -> int:
        """Be a function."""
        return a

    node = e.prebuilt.ValidationNode([Select, add, func])
    said = [
        calling(tool_call("Select", {"number": 1}), tool_call("Select", {"number": "x"}, "c2")),
        calling(tool_call("add", {"a": 1, "b": "2"})),
        calling(tool_call("func", {})),
        calling(tool_call("nope")),
    ]
    values = [*said, *(s["messages"] for s in said), [], {}, {"messages": []}, [HumanMessage("h")]]

    def check(value):
        return node.invoke(value) if driver == "sync" else asyncio.run(node.ainvoke(value))

    facts = [attempt(lambda value=value: check(value)) for value in values]
    marked = [m.additional_kwargs for m in check(said[0])["messages"]]
    custom = e.prebuilt.ValidationNode(
        [func], name="n", tags=["t"], format_error=lambda error, call, schema: f"{call['name']}!"
    )
    wrong = [attempt(lambda v=v: e.prebuilt.ValidationNode([v])) for v in (5, "text", dict)]
    attributes = [custom.name, custom.tags, sorted(node.schemas_by_name), node.name]
    return [*facts, marked, custom.invoke(said[2]), attributes, wrong]
