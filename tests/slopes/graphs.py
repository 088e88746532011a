"""Graphs that can be had in two sizes."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph
from slopes.measuring import Watch


class State(TypedDict):
    n: int
    """Supersteps that were run."""


class Log(State):
    lines: Annotated[list[int], operator.add]
    """A line of every superstep."""


def loop(
    steps: int,
    *,
    is_async: bool,
    idle: int = 0,
    watch: Watch = lambda n: None,
    saver: Any = None,
    state: Any = State,
) -> Any:
    """Compile a node that runs so many times, beside idle nodes that never do."""

    def work(state: State) -> dict[str, Any]:
        watch(state["n"])
        # Not every state has the second key.
        return {"n": state["n"] + 1, "lines": [state["n"]]}

    def route(state: State) -> str:
        return "work" if state["n"] < steps else END

    node = _coroutine(work) if is_async else work
    builder = StateGraph(state)
    builder.add_node("work", node)
    for index in range(idle):
        builder.add_node(f"idle{index}", node)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", _coroutine(route) if is_async else route)
    return builder.compile(checkpointer=saver)


def wide(keys: int, *, is_async: bool) -> Any:
    """Compile a node that writes so many keys."""
    names = [f"k{index}" for index in range(keys)]
    update = dict.fromkeys(names, 1)
    # Called as a value, because a type checker wants the keys spelled out.
    make_state: Any = TypedDict
    builder = StateGraph(make_state("Wide", dict.fromkeys(names, int)))

    def write(state: Any) -> dict[str, int]:
        return update

    builder.add_node("write", _coroutine(write) if is_async else write)
    builder.add_edge(START, "write")
    return builder.compile()


def turns(steps: int) -> Any:
    """Compile a chain of nodes that each let others go on."""

    async def work(state: State) -> State:
        await asyncio.sleep(0)
        return {"n": state["n"] + 1}

    builder = StateGraph(State)
    builder.add_sequence([(f"n{index}", work) for index in range(steps)])
    builder.add_edge(START, "n0")
    return builder.compile()


def nested(depth: int, *, is_async: bool) -> Any:
    """Compile a graph in a graph, so many deep."""

    def work(state: State) -> State:
        return {"n": state["n"] + 1}

    inner: Any = _coroutine(work) if is_async else work
    for _ in range(depth):
        builder = StateGraph(State)
        builder.add_node("inner", inner)
        builder.add_edge(START, "inner")
        inner = builder.compile()
    return inner


class Typist(BaseChatModel):
    """Says so many tokens."""

    count: int

    @property
    def _llm_type(self) -> str:
        return "typist"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for _ in range(self.count):
            yield ChatGenerationChunk(message=AIMessageChunk("token "))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream():
            yield chunk


def talking(tokens: int, *, is_async: bool) -> Any:
    """Compile a node that reads the stream of a model."""
    model = Typist(count=tokens)

    def ask(state: State) -> None:
        for _ in model.stream("go"):
            pass

    async def aask(state: State, config: RunnableConfig) -> None:
        # Given the config, because Python 3.10 does not hand it on by itself.
        async for _ in model.astream("go", config):
            pass

    builder = StateGraph(State)
    builder.add_node("ask", aask if is_async else ask)
    builder.add_edge(START, "ask")
    return builder.compile()


def _coroutine(func: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    async def call(state: Any) -> Any:
        return func(state)

    return call
