"""The graphs that every server serves. They import langgraph's names, so each runs its own."""

import asyncio
import operator
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import TypedDict


class Ticking(TypedDict, total=False):
    """How many events of which size, how long to wait before each, or to block at the end."""

    count: int
    delay: float
    size: int
    block: float
    text: Annotated[str, operator.add]


async def tick(state: Ticking) -> dict[str, Any]:
    """Emit custom events; others get a turn after each of them."""
    write = get_stream_writer()
    more = {"text": "x" * state["size"]} if state.get("size") else {}
    for index in range(state.get("count", 0)):
        write({"i": index, **more})
        await asyncio.sleep(state.get("delay", 0))
    if state.get("block"):
        time.sleep(state["block"])  # noqa: ASYNC251
    return {"text": ""}


class Typist(BaseChatModel):
    """Says a hundred tokens."""

    @property
    def _llm_type(self) -> str:
        return "typist"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("token " * 100))])

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(100):
            yield ChatGenerationChunk(message=AIMessageChunk("token "))
            await asyncio.sleep(0)


async def answer(state: MessagesState) -> dict[str, Any]:
    """Let the model answer."""
    return {"messages": [await Typist().ainvoke(state["messages"])]}


ticks = StateGraph(Ticking).add_node("tick", tick).add_edge(START, "tick").compile()
tokens = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
