"""The graphs that the page talks to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import END, START, StateGraph
from millstream.graph.message import add_messages
from millstream.prebuilt import ToolNode
from millstream.types import interrupt


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def words(messages: list[BaseMessage]) -> tuple[list[str], float]:
    """Return the answer, and how long each word takes: `tell 100 5` wants 100 in 5 ms each."""
    text = str([m for m in messages if m.type == "human"][-1].content)
    if text.startswith("tell "):
        count, pause = text.split(" ")[1:3]
        return [f"w{number}" for number in range(int(count))], int(pause) / 1000
    return ["you", "said", *text.split(" ")], 0


class Model(BaseChatModel):
    """Says word after word."""

    @property
    def _llm_type(self) -> str:
        return "words"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        text = " ".join(words(messages)[0])
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        answer, pause = words(messages)
        for number, word in enumerate(answer):
            await asyncio.sleep(pause)
            yield ChatGenerationChunk(message=AIMessageChunk(f" {word}" if number else word))


async def answer(state: State) -> dict[str, Any]:
    return {"messages": [await Model().ainvoke(state["messages"])]}


def ask(state: State) -> dict[str, Any]:
    first = interrupt({"question": "first?"})
    second = interrupt({"question": "second?"})
    return {"messages": [AIMessage(f"answers {first} {second}")]}


def ask_left(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage(f"left {interrupt('left?')}")]}


def ask_right(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage(f"right {interrupt('right?')}")]}


def announce(state: State) -> dict[str, Any]:
    get_stream_writer()({"from": "inside"})
    return {}


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def agent(state: State) -> dict[str, Any]:
    if state["messages"][-1].type == "tool":
        return await answer(state)
    call = ToolCall(name="add", args={"a": 1, "b": 2}, id="call_1")
    return {"messages": [AIMessage("", tool_calls=[call])]}


def wants_tools(state: State) -> str:
    return "tools" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]


def summarize(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage("that was all")]}


def of(*nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph with these nodes, one after another."""
    builder = StateGraph(State).add_sequence(list(nodes))
    return builder.add_edge(START, next(iter(builder.nodes)))


chat = of(answer).compile()
hitl = of(ask).compile()
pair = (
    StateGraph(State)
    .add_node(ask_left)
    .add_node(ask_right)
    .add_edge(START, "ask_left")
    .add_edge(START, "ask_right")
    .compile()
)
nested = of(("inner", of(announce, answer).compile()), summarize).compile()
tools = (
    StateGraph(State)
    .add_node(agent)
    .add_node("tools", ToolNode([add]))
    .add_edge(START, "agent")
    .add_conditional_edges("agent", wants_tools, ["tools", END])
    .add_edge("tools", "agent")
    .compile()
)
