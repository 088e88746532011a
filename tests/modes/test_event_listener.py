"""Events of what LangChain's parts do in a node: text models, tools, retrievers, chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import adispatch_custom_event
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.outputs import GenerationChunk
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableGenerator
from langchain_core.tools import tool
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph


class State(TypedDict, total=False):
    n: int


def seen(
    ask: Callable[[RunnableConfig], Any], prefix: str, *, fails: bool = False, **wanted: Any
) -> list[tuple[str, str, Any]]:
    """Return kind, name and data of the events whose kind begins so, of a run of one node."""

    async def node(state: State, config: RunnableConfig) -> State:
        await ask(config)
        return {"n": 1}

    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()

    async def read() -> list[Any]:
        events: list[Any] = []
        try:
            async for event in graph.astream_events({"n": 0}, version="v2", **wanted):
                events.append(event)
        except LookupError:
            assert fails
        return events

    return [
        (event["event"], event["name"], event["data"])
        for event in asyncio.run(read())
        if event["event"].startswith(prefix)
    ]


def test_a_text_model_shows_its_prompts_and_its_text() -> None:
    model = FakeListLLM(responses=["a mill"])

    assert seen(lambda config: model.ainvoke("what?", config), "on_llm") == [
        ("on_llm_start", "FakeListLLM", {"input": {"prompts": ["what?"]}}),
        (
            "on_llm_end",
            "FakeListLLM",
            {
                "output": {
                    "generations": [
                        [{"text": "a mill", "generation_info": None, "type": "Generation"}]
                    ],
                    "llm_output": None,
                },
                "input": {"prompts": ["what?"]},
            },
        ),
    ]


class Speller(FakeListLLM):
    """Says its answer letter by letter."""

    async def _astream(
        self, *args: Any, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[GenerationChunk]:
        for letter in self.responses[0]:
            chunk = GenerationChunk(text=letter)
            yield chunk
            # Some models tell the chunk besides, some do not.
            told = {"chunk": chunk} if letter == "m" else {}
            await run_manager.on_llm_new_token(letter, **told)


def test_a_text_model_that_streams_shows_its_chunks() -> None:
    async def ask(config: RunnableConfig) -> None:
        async for _ in Speller(responses=["mill"]).astream("what?", config):
            pass

    events = seen(ask, "on_llm_stream")

    assert [data["chunk"].text for _, _, data in events] == ["m", "i", "l", "l"]


@tool
def grind(grain: str) -> str:
    """Grind it."""
    if grain == "stone":
        raise LookupError("no grain")
    return f"{grain} flour"


def test_a_tool_shows_its_arguments_and_what_it_returned() -> None:
    assert seen(lambda config: grind.ainvoke({"grain": "rye"}, config), "on_tool") == [
        ("on_tool_start", "grind", {"input": {"grain": "rye"}}),
        ("on_tool_end", "grind", {"output": "rye flour", "input": {"grain": "rye"}}),
    ]


def test_a_tool_that_fails_shows_its_error_and_the_call() -> None:
    call = {"type": "tool_call", "name": "grind", "args": {"grain": "stone"}, "id": "call-1"}

    *_, (kind, name, data) = seen(lambda config: grind.ainvoke(call, config), "on_tool", fails=True)

    assert (kind, name, str(data["error"])) == ("on_tool_error", "grind", "no grain")
    assert (data["input"], data["tool_call_id"]) == ({"grain": "stone"}, "call-1")


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(query)]


def test_a_retriever_shows_what_it_looked_for_and_found() -> None:
    assert seen(lambda config: Shelf().ainvoke("mills", config), "on_retriever") == [
        ("on_retriever_start", "Shelf", {"input": {"query": "mills"}}),
        (
            "on_retriever_end",
            "Shelf",
            {"output": [Document("mills")], "input": {"query": "mills"}},
        ),
    ]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_chunks_of_a_runnable_are_shown_as_they_are_read(is_async: bool) -> None:
    def count(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            yield from range(number)

    async def acount(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            for each in range(number):
                yield each

    async def ask(config: RunnableConfig) -> None:
        counting = RunnableGenerator(count, acount, name="count")
        if is_async:
            async for _ in counting.astream(3, config):
                pass
        else:
            list(counting.stream(3, config))

    events = seen(ask, "on_chain_stream", include_names=["count"])

    assert [data["chunk"] for _, _, data in events] == [0, 1, 2]


def test_custom_events_are_chosen_by_name() -> None:
    async def ask(config: RunnableConfig) -> None:
        for name in ("wheel", "stone"):
            await adispatch_custom_event(name, {"turns": 1}, config=config)

    assert seen(ask, "on_custom", include_names=["wheel"]) == [
        ("on_custom_event", "wheel", {"turns": 1})
    ]


def test_callbacks_that_are_neither_handlers_nor_a_manager_are_refused() -> None:
    graph = StateGraph(State).add_node("a", lambda state: {}).add_edge(START, "a").compile()
    config: Any = {"callbacks": {"nobody": 1}}

    async def read() -> None:
        async for _ in graph.astream_events({"n": 0}, config, version="v2"):
            pass

    with pytest.raises(ValueError, match=r"^Unexpected type for callbacks: \{'nobody': 1\}"):
        asyncio.run(read())


def test_a_limit_of_items_is_refused_because_events_are_kept() -> None:
    graph = StateGraph(State).add_node("a", lambda state: {}).add_edge(START, "a").compile()

    async def read() -> None:
        async for _ in graph.astream_events({"n": 0}, version="v2", max_buffered=1):
            pass

    with pytest.raises(TypeError, match=r"^astream_events has no max_buffered"):
        asyncio.run(read())
