"""Graphs that are much: many checkpoints, large states, quick models, many nodes."""

import asyncio
import operator
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, MessagesState, StateGraph


class Loop(TypedDict, total=False):
    upto: int
    events: int
    seen: Annotated[int, operator.add]


async def turn(state: Loop) -> Loop:
    write = get_stream_writer()
    for number in range(state.get("events", 0)):
        write({"number": number})
        if number % 20 == 0:
            await asyncio.sleep(0)
    return {"seen": 1}


def again(state: Loop) -> str:
    return "turn" if state["seen"] < state["upto"] else "__end__"


loop = (
    StateGraph(Loop)
    .add_node(turn)
    .add_edge(START, "turn")
    .add_conditional_edges("turn", again)
    .compile()
)


class Large(TypedDict, total=False):
    records: list[Any]


def fill(state: Large) -> Large:
    text = "some words " * 8
    return {"records": [{"id": n, "name": f"record {n}", "text": text} for n in range(40_000)]}


large = StateGraph(Large).add_node(fill).add_edge(START, "fill").compile()


class Quick(BaseChatModel):
    """Says so many words a second."""

    words: int
    rate: int

    @property
    def _llm_type(self) -> str:
        return "quick"

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        began = time.monotonic()
        said = 0
        while said < self.words:
            due = min(self.words, int(self.rate * (time.monotonic() - began)) + 1)
            for number in range(said, due):
                text = f"word{number} " if number % 40 else f"word{number}\n"
                yield ChatGenerationChunk(message=AIMessageChunk(text))
            said = max(said, due)
            await asyncio.sleep(0.005)

    def _generate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("word"))])


class Talk(MessagesState):
    words: int
    rate: int


async def talk(state: Talk) -> dict[str, Any]:
    model = Quick(words=state["words"], rate=state["rate"])
    return {"messages": [await model.ainvoke(state["messages"])]}


talks = StateGraph(Talk).add_node(talk).add_edge(START, "talk").compile()


def wide(count: int, layer: int = 10) -> Any:
    """Return a graph of `count` nodes in layers, each after one or two of the layer before."""

    class Passed(TypedDict, total=False):
        passed: Annotated[int, operator.add]

    async def node(state: Passed) -> Passed:
        await asyncio.sleep(0.02)
        return {"passed": 1}

    builder = StateGraph(Passed)
    for number in range(count):
        builder.add_node(f"node{number}", node)
        if number < layer:
            builder.add_edge(START, f"node{number}")
        else:
            above = number - layer
            builder.add_edge(f"node{above}", f"node{number}")
            if number % 3 == 0 and number % layer:
                builder.add_edge(f"node{above - 1}", f"node{number}")
    return builder.compile()


wide300 = wide(300)
wide1000 = wide(1000)
