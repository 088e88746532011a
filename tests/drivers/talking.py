"""Nodes that emit without end, and the places they can be in. What hangs has found a leak."""

from __future__ import annotations

import asyncio
import itertools
import operator
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from typing_extensions import TypedDict

from millstream.func import task
from millstream.graph import START, StateGraph


class State(TypedDict):
    x: int
    log: Annotated[list[Any], operator.add]


class Talker(BaseChatModel):
    """Says numbers, and keeps account of what it said."""

    count: int | None = None
    """How many numbers, None for no end."""
    begun: Any = None
    """Released before each token."""
    said: int = 0
    ended: int = 0

    @property
    def _llm_type(self) -> str:
        return "talker"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        try:
            for _ in itertools.repeat(None) if self.count is None else range(self.count):
                self.said += 1
                if self.begun is not None:
                    self.begun.release()
                yield ChatGenerationChunk(message=AIMessageChunk(f"{self.said} "))
        finally:
            self.ended += 1

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self._stream(messages)
        with closing(chunks):
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk


def graph_of(*, saver: Any = None, **nodes: Any) -> Any:
    """Compile a graph that runs all these nodes at once."""
    builder = StateGraph(State)
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(START, name)
    return builder.compile(checkpointer=saver)


def in_node(sync: Any, is_async: bool) -> Any:
    """A graph with a node that calls the function, or the coroutine function made of it."""
    return graph_of(node=sync)


def in_subgraphs(node: Any, is_async: bool) -> Any:
    """Three subgraphs deep."""
    return graph_of(a=graph_of(b=graph_of(c=graph_of(node=node))))


def in_task(node: Any, is_async: bool) -> Any:
    """In a task that is called by a node."""
    step = task(node)

    def call(state: State) -> None:
        step(state).result()

    async def acall(state: State) -> None:
        await step(state)

    return graph_of(call=acall if is_async else call)


def in_called_graph(node: Any, is_async: bool) -> Any:
    """In a graph that is called by a node, which reads it with a bound of its own."""
    child = graph_of(node=node)
    options = {"stream_mode": "messages", "max_buffered": 2}

    def call(state: State) -> None:
        for _ in child.stream({"x": 1}, **options):
            pass

    async def acall(state: State) -> None:
        async with aclosing(child.astream({"x": 1}, **options)) as items:
            async for _ in items:
                pass

    return graph_of(call=acall if is_async else call)


PLACES = (in_node, in_subgraphs, in_task, in_called_graph)


def ask(model: Talker, is_async: bool) -> Any:
    """Return a node that calls the model."""

    def node(state: State) -> None:
        model.invoke("go")

    async def anode(state: State) -> None:
        await model.ainvoke("go")

    return anode if is_async else node
