"""What type checkers say about building and running a graph; checked, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict, assert_type

from millstream.config import get_stream_writer
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.graph.state import CompiledStateGraph
from millstream.runtime import RunControl, Runtime, get_runtime
from millstream.types import (
    CachePolicy,
    Command,
    GraphOutput,
    Interrupt,
    RetryPolicy,
    Send,
    StreamMode,
    StreamPart,
    StreamWriter,
    TimeoutPolicy,
)


class State(TypedDict):
    x: int


class Input(TypedDict):
    question: str


class Output(TypedDict):
    answer: str


@dataclass
class Context:
    user: str


def node(state: State) -> dict[str, Any]:
    return {"x": state["x"] + 1}


async def anode(state: State, writer: StreamWriter, *, runtime: Runtime[Context]) -> State:
    assert_type(runtime.context, Context)
    assert_type(runtime.context.user, str)
    writer({"any": "object"})
    return {"x": 1}


def route(state: State) -> str | list[Send]:
    return [Send("node", {"x": 1}), Send("node", None, timeout=1.5)] if state["x"] else END


def jump(state: State) -> Command[str]:
    return Command(update={"x": 1}, goto="node")


def check_building() -> None:
    builder = StateGraph(State)
    assert_type(builder, StateGraph[State, None, State, State])
    assert_type(builder.add_node(node), StateGraph[State, None, State, State])
    StateGraph(State, Context).add_node(
        "anode", anode, retry_policy=RetryPolicy(), timeout=TimeoutPolicy()
    )
    builder.add_node("cached", node, cache_policy=CachePolicy(ttl=3), metadata={"m": 1})
    builder.add_edge(START, "node").add_edge(["node", "anode"], END)
    builder.add_conditional_edges("node", route, ["node", END])
    builder.add_sequence([("one", node), ("two", jump)])
    assert_type(builder.compile(), CompiledStateGraph[State, None, State, State])
    assert_type(
        StateGraph(State, Context, input_schema=Input, output_schema=Output).compile(),
        CompiledStateGraph[State, Context, Input, Output],
    )
    assert_type(
        StateGraph(MessagesState).compile(),
        CompiledStateGraph[MessagesState, None, MessagesState, MessagesState],
    )


Graph = CompiledStateGraph[State, Context, Input, Output]
Part = StreamPart[State, Output]


def check_sync(graph: Graph, mode: StreamMode) -> None:
    question: Input = {"question": "why?"}
    assert_type(graph.stream(question, stream_mode=mode), Generator[Any, None, None])
    assert_type(graph.stream(question, version="v2"), Generator[Part, None, None])
    assert_type(graph.invoke(question, {"tags": ["t"]}, context=Context("u")), dict[str, Any] | Any)
    assert_type(graph.invoke(question, stream_mode="updates"), list[Any])
    assert_type(graph.invoke(question, stream_mode=["updates"]), list[Any])
    assert_type(graph.invoke(question, version="v2"), GraphOutput[Output])
    assert_type(graph.invoke(question, version="v2").value["answer"], str)
    assert_type(graph.invoke(question, version="v2").interrupts, tuple[Interrupt[Any], ...])
    assert_type(graph.invoke(question, stream_mode="values", version="v2"), GraphOutput[Output])
    assert_type(graph.invoke(question, stream_mode=["values"], version="v2"), list[Part])
    assert_type(graph.invoke(question, stream_mode="tools", version="v2"), list[Part])
    for _ in graph.stream(
        question,
        stream_mode=["values", "updates", "tools"],
        subgraphs=True,
        durability="sync",
        interrupt_before="*",
        interrupt_after=["node"],
        output_keys=["answer"],
        version="v2",
        control=RunControl(),
        print_mode=("debug",),
        max_buffered=3,
        debug=False,
        record="run.jsonl.gz",
    ):
        pass
    for token, metadata in graph.stream(question, stream_mode="messages"):
        assert token.content or metadata["langgraph_node"]
    graph.invoke(Command(update={"x": 1}))
    graph.invoke(None)
    same = graph.with_config({"recursion_limit": 5})
    assert_type(same, Graph)


def check_parts(graph: Graph) -> None:
    for part in graph.stream({"question": "why?"}, stream_mode=["values", "tools"], version="v2"):
        assert_type(part["ns"], tuple[str, ...])
        if part["type"] == "values":
            assert_type(part["data"]["answer"], str)
        elif part["type"] == "updates":
            assert_type(part["data"], dict[str, Any])
        elif part["type"] == "messages":
            assert_type(part["data"][1], dict[str, Any])
        elif part["type"] == "checkpoints":
            assert_type(part["data"]["values"]["x"], int)
        elif part["type"] == "tools" and part["data"]["event"] == "tool-finished":
            assert_type(part["data"]["tool_call_id"], str)


async def check_async(graph: Graph) -> None:
    question: Input = {"question": "why?"}
    assert_type(graph.astream(question), AsyncGenerator[Any, None])
    assert_type(graph.astream(question, version="v2"), AsyncGenerator[Part, None])
    assert_type(await graph.ainvoke(question), dict[str, Any] | Any)
    assert_type(await graph.ainvoke(question, stream_mode="custom"), list[Any])
    assert_type(await graph.ainvoke(question, version="v2"), GraphOutput[Output])
    assert_type(await graph.ainvoke(question, stream_mode=["tools"], version="v2"), list[Part])
    async for part in graph.astream({"question": "why?"}, version="v2", durability="exit"):
        assert_type(part, Part)


def check_plain_dicts(graph: Graph, given: dict[str, Any]) -> None:
    config = {"configurable": {"thread_id": "1"}}
    question = {"question": "why?"}
    assert_type(graph.invoke(question, config, version="v2"), GraphOutput[Output])
    graph.invoke(given, {"configurable": given})
    list(graph.stream(question, config))
    chat = StateGraph(MessagesState).compile()
    chat.invoke({"messages": [{"role": "user", "content": "hi"}]}, config)
    chat.invoke({"messages": "hi"}, config)
    graph.get_state(config)
    list(graph.get_state_history(config, before=config))
    graph.update_state(config, given, as_node="node")
    graph.with_config(config)


def check_accessors() -> None:
    assert_type(get_stream_writer(), StreamWriter)
    assert_type(get_runtime(Context), Runtime[Context])


def check_values(send: Send, interrupt: Interrupt, command: Command[str]) -> None:
    assert_type(send.node, str)
    assert_type(send.arg, Any)
    assert_type(interrupt.id, str)
    assert_type(interrupt.value, Any)
    assert_type(command.graph, str | None)


def check_refusals(graph: Graph) -> None:
    graph.stream("why?")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    graph.invoke(Context("u"))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    graph.invoke({1: "why?"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    graph.stream(None, "thread")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    graph.stream(None, stream_mode="value")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    graph.invoke(None, stream_mode=["value"])  # type: ignore[list-item]  # pyright: ignore[reportCallIssue, reportArgumentType]
    graph.stream(None, version="v3")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    graph.stream(None, context="u")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    graph.stream(None, durability="never")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    graph.stream(None, mode="values")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    graph.invoke(None, max_buffered=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    graph.invoke(None, version="v2").value["x"]  # type: ignore[typeddict-item]  # pyright: ignore[reportGeneralTypeIssues]
    graph.get_state("thread")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
