"""The graphs of the recorded server: `sink`, `slow`, `hitl`, `chat`, `tools`, `factory`."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolCall
from langchain_core.tools import tool
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import END, START, StateGraph
from millstream.graph.message import add_messages
from millstream.prebuilt import ToolNode
from millstream.types import interrupt


class ChatState(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Ctx(TypedDict, total=False):
    lang: str


class SinkState(ChatState, total=False):
    topic: str
    log: Annotated[list[str], operator.add]


class SubState(ChatState):
    topic: str


class SlowState(TypedDict, total=False):
    n: int
    delay: float
    seen: Annotated[list[int], operator.add]
    boom: bool


class HitlState(ChatState, total=False):
    answer: str


async def say(text: str, state: ChatState) -> dict[str, Any]:
    """Have a model say a text, in the words of which it streams."""
    model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
    return {"messages": [await model.ainvoke(state.get("messages") or "go")]}


async def call_model(state: ChatState) -> dict[str, Any]:
    return await say("hello from the fake model", state)


def first(state: SinkState) -> dict[str, Any]:
    writer = get_stream_writer()
    writer({"progress": 1})
    writer("a plain string")
    return {"log": ["first"]}


def sub_a(state: SubState) -> dict[str, Any]:
    get_stream_writer()({"sub": "a", "topic": state.get("topic")})
    return {"topic": f"{state.get('topic')}!"}


async def sub_b(state: SubState) -> dict[str, Any]:
    return await say("sub graph says hi", state)


async def last(state: SinkState) -> dict[str, Any]:
    return {**await say("final answer", state), "log": ["last"]}


async def tick(state: SlowState) -> dict[str, Any]:
    writer = get_stream_writer()
    for i in range(state["n"]):
        writer({"i": i})
        await asyncio.sleep(state.get("delay", 0))
    if state.get("boom"):
        raise ValueError("boom in tick")
    return {"seen": [state["n"]]}


def tock(state: SlowState) -> dict[str, Any]:
    return {"seen": [-1]}


def ask(state: HitlState) -> dict[str, Any]:
    return {"answer": interrupt({"question": "approve?", "n": 1})}


def done(state: HitlState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"answer={state['answer']}")]}


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def agent(state: ChatState) -> dict[str, Any]:
    if state["messages"][-1].type == "tool":
        return await say("the sum is 3", state)
    call = ToolCall(name="add", args={"a": 1, "b": 2}, id="call_1")
    return {"messages": [AIMessage("", tool_calls=[call])]}


def wants_tools(state: ChatState) -> str:
    return "tools" if state["messages"][-1].tool_calls else END


def make_chat() -> Any:
    builder = StateGraph(ChatState, context_schema=Ctx)
    return builder.add_sequence([call_model]).add_edge(START, "call_model").compile(name="chat")


def make_sink() -> Any:
    inner = StateGraph(SubState).add_sequence([sub_a, sub_b]).add_edge(START, "sub_a").compile()
    builder = StateGraph(SinkState).add_sequence([first, ("inner", inner), last])
    return builder.add_edge(START, "first").add_edge("last", END).compile(name="sink")


def make_slow() -> Any:
    builder = StateGraph(SlowState).add_sequence([tick, tock])
    return builder.add_edge(START, "tick").compile(name="slow")


def make_hitl() -> Any:
    builder = StateGraph(HitlState).add_sequence([ask, done])
    return builder.add_edge(START, "ask").compile(name="hitl")


def make_tools() -> Any:
    builder = StateGraph(ChatState).add_node("agent", agent).add_node("tools", ToolNode([add]))
    builder.add_edge(START, "agent").add_conditional_edges("agent", wants_tools, ["tools", END])
    return builder.add_edge("tools", "agent").compile(name="tools")


def factory(config: dict[str, Any]) -> Any:
    return make_chat()


def make_graphs() -> dict[str, Any]:
    """Return all of them by their ids, in the order of the recorded server."""
    return {
        "chat": make_chat(),
        "sink": make_sink(),
        "hitl": make_hitl(),
        "slow": make_slow(),
        "tools": make_tools(),
        "factory": factory,
    }
