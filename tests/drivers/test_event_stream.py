"""Streams of events that are left, cancelled, read late, or end with an error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.callbacks import adispatch_custom_event
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph
from millstream.graph.state import CompiledStateGraph


class State(TypedDict, total=False):
    """Any value."""

    x: Any


class Hanging(BaseChatModel):
    """Says one word and waits for ever; notes when it was stopped."""

    stopped: list[str]

    @property
    def _llm_type(self) -> str:
        return "hanging"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        try:
            yield ChatGenerationChunk(message=AIMessageChunk("word"))
            await asyncio.Event().wait()
        finally:
            self.stopped.append("model")


def graph_of(*nodes: Any) -> Any:
    """Return a graph whose nodes run in one superstep."""
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
        builder.add_edge(node.__name__, END)
    return builder.compile()


def asking(model: Hanging) -> Any:
    """Return a graph whose nested graph asks the model."""

    async def ask(state: State, config: RunnableConfig) -> None:
        await model.ainvoke("go", config)

    inner = graph_of(ask)

    async def call(state: State, config: RunnableConfig) -> None:
        await inner.ainvoke({"x": 1}, config)

    return graph_of(call)


def names(events: list[Any]) -> list[tuple[str, str]]:
    """Return what happened, and to what."""
    return [(event["event"], event["name"]) for event in events]


async def read(events: AsyncIterator[Any], seen: list[Any]) -> None:
    """Read events into a list."""
    async for event in events:
        seen.append(event)


def test_leaving_between_tokens_stops_the_model_and_leaves_no_task() -> None:
    model = Hanging(stopped=[])

    async def leave() -> set[asyncio.Task[Any]]:
        events = asking(model).astream_events({"x": 1})
        async for event in events:
            if event["event"] == "on_chat_model_stream":
                break
        assert model.stopped == []
        await events.aclose()
        assert model.stopped == ["model"]
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]  # never None here

    assert asyncio.run(leave()) == set()


def test_cancelling_the_reader_stops_the_model_and_leaves_no_task() -> None:
    model = Hanging(stopped=[])

    async def cancel() -> set[asyncio.Task[Any]]:
        heard = asyncio.Event()

        async def reads() -> None:
            async for event in asking(model).astream_events({"x": 1}):
                if event["event"] == "on_chat_model_stream":
                    heard.set()

        reader = asyncio.create_task(reads())
        await heard.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert model.stopped == ["model"]
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]  # never None here

    assert asyncio.run(cancel()) == set()


def test_what_a_stopped_node_tells_comes_before_the_error() -> None:
    async def waits(state: State, config: RunnableConfig) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await adispatch_custom_event("stopping", 1, config=config)

    graph = graph_of(waits)
    graph.step_timeout = 0.01
    seen: list[Any] = []

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(read(graph.astream_events({"x": 1}), seen))

    assert names(seen) == [
        ("on_chain_start", "LangGraph"),
        ("on_chain_start", "waits"),
        ("on_custom_event", "stopping"),
    ]


def test_a_node_that_fails_in_its_thread_leaves_its_events() -> None:
    step = RunnableLambda(lambda x: x, name="step")

    def fails(state: State) -> None:
        step.invoke(1)
        raise ValueError("no")

    seen: list[Any] = []

    with pytest.raises(ValueError, match="no"):
        asyncio.run(read(graph_of(fails).astream_events({"x": 1}), seen))

    assert names(seen) == [
        ("on_chain_start", "LangGraph"),
        ("on_chain_start", "fails"),
        ("on_chain_start", "step"),
        ("on_chain_end", "step"),
    ]


def test_a_late_reader_gets_what_a_thread_told_meanwhile() -> None:
    step = RunnableLambda(lambda x: x, name="step")
    done = threading.Event()

    def node(state: State) -> State:
        for number in range(100):
            step.invoke(number)
        done.set()
        return {"x": 2}

    async def read_late() -> list[Any]:
        events = graph_of(node).astream_events({"x": 1})
        seen = [await anext_of(events)]
        while seen[-1]["name"] != "node":
            seen.append(await anext_of(events))
        await asyncio.to_thread(done.wait)
        await read(events, seen)
        return seen

    inputs = [
        event["data"]["input"]
        for event in asyncio.run(read_late())
        if (event["event"], event["name"]) == ("on_chain_start", "step")
    ]

    assert inputs == list(range(100))


async def anext_of(events: AsyncIterator[Any]) -> Any:
    """Return the next event."""
    return await events.__anext__()


def test_a_thread_may_go_on_telling_when_the_reader_has_left() -> None:
    step = RunnableLambda(lambda x: x, name="step")
    left, told = threading.Event(), threading.Event()
    results: list[int] = []

    def node(state: State) -> None:
        left.wait()
        results.append(step.invoke(1))
        told.set()

    async def leave() -> list[Any]:
        events = graph_of(node).astream_events({"x": 1})
        seen = [await anext_of(events)]
        while seen[-1]["name"] != "node":
            seen.append(await anext_of(events))
        await events.aclose()
        left.set()
        await asyncio.to_thread(told.wait)
        await read(events, seen)
        return seen

    seen = asyncio.run(leave())

    assert results == [1]
    assert names(seen) == [("on_chain_start", "LangGraph"), ("on_chain_start", "node")]


def test_a_subclass_that_replaces_astream_is_asked() -> None:
    class Counting(CompiledStateGraph[Any]):
        def astream(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(kwargs)
            return super().astream(*args, **kwargs)

    async def node(state: State) -> None:
        return None

    asked: list[Any] = []
    graph = graph_of(node)
    graph.__class__ = Counting
    seen: list[Any] = []
    asyncio.run(read(graph.astream_events({"x": 1}, stream_mode="values"), seen))

    assert asked == [{"stream_mode": "values"}]
    assert names(seen)[0] == ("on_chain_start", "LangGraph")


def test_an_unknown_version_is_refused() -> None:
    async def node(state: State) -> None:
        return None

    with pytest.raises(NotImplementedError, match="v9"):
        asyncio.run(read(graph_of(node).astream_events({"x": 1}, version="v9"), []))
