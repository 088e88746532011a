"""What type checkers say about building and running a graph; checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
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
    Interrupt,
    RetryPolicy,
    Send,
    StreamMode,
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
    builder.add_node("anode", anode, retry_policy=RetryPolicy(), timeout=TimeoutPolicy())
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


def check_sync(graph: CompiledStateGraph[State, Context, Input, Output]) -> None:
    mode: StreamMode = "updates"
    question: Input = {"question": "why?"}
    assert_type(graph.stream(question, stream_mode=mode), Iterator[Any])
    assert_type(graph.invoke(question, {"tags": ["t"]}, context=Context("u")), Any)
    for _ in graph.stream(
        question,
        stream_mode=["values", "updates"],
        subgraphs=True,
        durability="sync",
        interrupt_before="*",
        interrupt_after=["node"],
        version="v2",
        control=RunControl(),
        print_mode=("debug",),
    ):
        pass
    graph.invoke(Command(update={"x": 1}))
    graph.invoke(None)
    same = graph.with_config({"recursion_limit": 5})
    assert_type(same, CompiledStateGraph[State, Context, Input, Output])


async def check_async(graph: CompiledStateGraph[State, Context, Input, Output]) -> None:
    assert_type(graph.astream({"question": "why?"}), AsyncIterator[Any])
    assert_type(await graph.ainvoke({"question": "why?"}), Any)


def check_accessors() -> None:
    assert_type(get_stream_writer(), StreamWriter)
    assert_type(get_runtime(Context), Runtime[Context])


def check_values(send: Send, interrupt: Interrupt, command: Command[str]) -> None:
    assert_type(send.node, str)
    assert_type(send.arg, Any)
    assert_type(interrupt.id, str)
    assert_type(interrupt.value, Any)
    assert_type(command.graph, str | None)


def check_refusals(graph: CompiledStateGraph[State, Context, Input, Output]) -> None:
    graph.stream({"question": 1})  # type: ignore[arg-type]  # not the input schema
    graph.stream({"question": ""}, stream_mode="value")  # type: ignore[arg-type]  # not a mode
    graph.stream({"question": ""}, context="u")  # type: ignore[arg-type]  # not the context schema
    graph.stream({"question": ""}, durability="never")  # type: ignore[arg-type]  # not a durability
