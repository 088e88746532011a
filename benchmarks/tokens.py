"""Tokens: what the graph adds to each token of a model, in `messages` mode and as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from benchmarks.peers import PEERS, Peer
from benchmarks.rows import FLOOR, Contender, Group, Row, added, added_fraction, fraction


class State(TypedDict):
    """The prompt."""

    prompt: str


class Typist(BaseChatModel):
    """Says so many tokens, as fast as it can."""

    count: int
    is_yielding: bool = False
    """Whether others get a turn after each token."""

    @property
    def _llm_type(self) -> str:
        return "typist"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for _ in range(self.count):
            yield ChatGenerationChunk(message=AIMessageChunk("token "))

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(self.count):
            yield ChatGenerationChunk(message=AIMessageChunk("token "))
            if self.is_yielding:
                await asyncio.sleep(0)


def build(peer: Peer, model: Typist, *, is_async: bool = True) -> Any:
    """Compile a node that reads the model's stream."""

    def ask(state: State) -> None:
        for _ in model.stream(state["prompt"]):
            pass

    async def aask(state: State, config: RunnableConfig) -> None:
        # Given the config, because langgraph needs it on Python 3.10.
        async for _ in model.astream(state["prompt"], config):
            pass

    builder = peer.StateGraph(State)
    builder.add_node("ask", aask if is_async else ask)
    builder.add_edge(peer.START, "ask")
    return builder.compile()


def reader(stream: Callable[..., AsyncIterator[Any]], least: int, **options: Any) -> Any:
    """Return a call that reads a stream to its end, which must have at least so many items."""

    async def read() -> None:
        count = 0
        async for _ in stream({"prompt": "go"}, **options):
            count += 1
        assert count >= least, f"{count} items instead of {least} or more"

    return read


def by_hand(model: Typist) -> Callable[[], Awaitable[None]]:
    """Return a call that reads the model's own stream."""

    async def read() -> None:
        async for _ in model.astream("go"):
            pass

    return read


def groups(count: int = 1000) -> list[Group]:
    """Return the groups of this area."""
    rows = []
    for is_yielding in (False, True):
        model = Typist(count=count, is_yielding=is_yielding)
        graphs = [build(peer, model) for peer in PEERS]
        kind = "yielding model" if is_yielding else "model"
        title = f"messages mode, {kind}"
        contenders = (*_readers(graphs, "astream", count, stream_mode="messages"), _floor(model))
        goals = (added(title, 5), added_fraction(title, 2))
        rows.append(Row(title, "token", count, contenders, goals))
        title = f"astream_events v2, {kind}"
        contenders = (*_readers(graphs, "astream_events", count, version="v2"), _floor(model))
        rows.append(Row(title, "token", count, contenders, (fraction(title, 1.5),)))
    return [Group("tokens; floor = reading the model's own stream", tuple(rows))]


def _readers(graphs: list[Any], method: str, least: int, **options: Any) -> list[Contender]:
    return [
        Contender(peer.name, reader(getattr(graph, method), least, **options))
        for peer, graph in zip(PEERS, graphs, strict=True)
    ]


def _floor(model: Typist) -> Contender:
    return Contender(FLOOR, by_hand(model))
