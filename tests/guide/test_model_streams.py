"""What a model's service does to a stream, and what leaving a stream does to the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import reduce
from operator import add
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from guide.openai_server import (
    PATIENCE,
    Babble,
    Failure,
    Gate,
    HangUp,
    Linger,
    OpenAIServer,
    ToolCall,
)
from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode, tools_condition
from millstream.types import RetryPolicy

pytestmark = pytest.mark.timeout(60)

QUESTION: Any = {"messages": [("user", "How is it?")]}


def speaker(driver: Any, **options: Any) -> Any:
    """Return a node that asks a model: `def` for the sync driver, `async def` for the async one."""
    model = ChatOpenAI(model="gpt-4o-mini", max_retries=0, **options).bind_tools([weigh])

    def speak(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def aspeak(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return speak if driver.name == "sync" else aspeak


@tool
def weigh(item: str, unit: str) -> str:
    """Weigh an item."""
    return f"{item}: 7 {unit}"


def chat_graph(driver: Any, **options: Any) -> Any:
    builder = StateGraph(MessagesState).add_node("speak", speaker(driver), **options)
    return builder.add_edge(START, "speak").compile()


def read(driver: Any, graph: Any, show: Callable[[Any], None]) -> None:
    """Show each token at the moment it arrives."""
    if driver.name == "sync":
        for message, _ in graph.stream(QUESTION, stream_mode="messages"):
            show(message)
        return

    async def run() -> None:
        async for message, _ in graph.astream(QUESTION, stream_mode="messages"):
            show(message)

    asyncio.run(run())


def test_each_token_arrives_before_the_service_sends_the_next(
    driver: Any, openai_server: OpenAIServer
) -> None:
    gates = {word: Gate() for word in ("all", " is", " well")}
    openai_server.answer = lambda request: [
        step for word, gate in gates.items() for step in (word, gate)
    ]
    words: list[str] = []

    def show(message: Any) -> None:
        if message.content:
            words.append(message.content)
            gates[message.content].opened.set()

    read(driver, chat_graph(driver), show)

    assert words == ["all", " is", " well"]


@pytest.mark.parametrize(
    ("trouble", "error", "text"),
    [
        (Failure("The model is overloaded"), openai.APIError, "The model is overloaded"),
        (HangUp(), openai.APIConnectionError, "Connection error"),
    ],
    ids=["error", "dropped connection"],
)
def test_trouble_in_mid_stream_fails_the_run_after_the_tokens_before_it(
    driver: Any, openai_server: OpenAIServer, trouble: Any, error: Any, text: str
) -> None:
    openai_server.answer = lambda request: ["all", " is", trouble]
    words: list[str] = []

    with pytest.raises(error, match=text):
        read(driver, chat_graph(driver), lambda message: words.append(message.content))

    assert "".join(words) == "all is"


def test_a_node_is_tried_again_after_its_connection_dropped(
    driver: Any, openai_server: OpenAIServer
) -> None:
    def answer(request: Any) -> Any:
        return ["all", HangUp()] if len(openai_server.requests) == 1 else ["all", " is", " well"]

    openai_server.answer = answer
    patient = RetryPolicy(initial_interval=0, jitter=False, retry_on=openai.APIConnectionError)
    words: list[str] = []

    read(
        driver,
        chat_graph(driver, retry_policy=patient),
        lambda message: words.append(message.content),
    )

    assert "|".join(filter(None, words)) == "all|all| is| well"


def test_chunks_of_an_agent_add_up_to_its_messages(
    driver: Any, openai_server: OpenAIServer
) -> None:
    def answer(request: Any) -> Any:
        said = request["messages"][-1]
        if said["role"] == "user":
            return [ToolCall("weigh", ('{"item": ', '"a mill", "unit"', ': "t"}'))]
        return ["It is ", said["content"]]

    openai_server.answer = answer
    builder = StateGraph(MessagesState)
    builder.add_node("speak", speaker(driver, stream_usage=True))
    builder.add_node("tools", ToolNode([weigh]))
    builder.add_edge(START, "speak")
    builder.add_conditional_edges("speak", tools_condition)
    builder.add_edge("tools", "speak")

    items = driver.stream(builder.compile(), QUESTION, stream_mode=["messages", "values"])

    _, call, result, said = items[-1][1]["messages"]
    heard = [payload for mode, payload in items if mode == "messages"]
    spoken = [message for message, _ in heard if isinstance(message, AIMessageChunk)]
    sums = [reduce(add, [one for one in spoken if one.id == whole.id]) for whole in (call, said)]
    for total, whole in zip(sums, (call, said), strict=True):
        assert (total.content, total.tool_calls) == (whole.content, whole.tool_calls)
        assert total.usage_metadata == whole.usage_metadata
    assert call.tool_calls[0]["args"] == {"item": "a mill", "unit": "t"}
    assert (said.content, said.usage_metadata["output_tokens"]) == ("It is a mill: 7 t", 2)
    assert [(m.content, where["langgraph_node"]) for m, where in heard if m not in spoken] == [
        (result.content, "tools")
    ]


def test_leaving_ends_the_call_of_a_model_in_a_sync_node(
    driver: Any, openai_server: OpenAIServer
) -> None:
    """Nothing cancels a thread: its next token does, so a model that talks on is cut short."""
    openai_server.answer = lambda request: [Babble()]
    model = ChatOpenAI(model="gpt-4o-mini")
    ended: list[str] = []

    def speak(state: MessagesState) -> Any:
        try:
            return {"messages": [model.invoke(state["messages"])]}
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    graph = StateGraph(MessagesState).add_node(speak).add_edge(START, "speak").compile()

    async def leave() -> None:
        async with contextlib.aclosing(graph.astream(QUESTION, stream_mode="messages")) as tokens:
            async for _ in tokens:
                break

    if driver.name == "sync":
        next(graph.stream(QUESTION, stream_mode="messages"))
    else:
        asyncio.run(leave())

    openai_server.left.get(timeout=PATIENCE)
    assert ended == ["RunAbandoned"]


async def leave_by_closing(tokens: AsyncIterator[Any]) -> None:
    async with contextlib.aclosing(tokens):  # type: ignore[type-var]  # astream is a generator
        await hear_ten(tokens)


async def leave_by_breaking(tokens: AsyncIterator[Any]) -> None:
    await hear_ten(tokens)


async def leave_by_cancelling(tokens: AsyncIterator[Any]) -> None:
    heard = asyncio.Event()

    async def hear() -> None:
        await hear_ten(tokens)
        heard.set()
        async for _ in tokens:
            pass

    reader = asyncio.create_task(hear())
    await heard.wait()
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader


async def hear_ten(tokens: AsyncIterator[Any]) -> None:
    words = 0
    async for _, (message, _) in tokens:
        words += bool(message.content)
        if words == 10:
            break


@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_breaking, leave_by_cancelling])
def test_leaving_after_ten_tokens_ends_the_call_of_the_model(
    openai_server: OpenAIServer, depth: int, leave: Callable[[Any], Any]
) -> None:
    openai_server.answer = lambda request: [*(f"word {number}" for number in range(10)), Linger()]
    model = ChatOpenAI(model="gpt-4o-mini")
    ended: list[str] = []

    async def speak(state: MessagesState) -> Any:
        try:
            return {"messages": [await model.ainvoke(state["messages"])]}
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    graph: Any = speak
    for _ in range(depth + 1):
        graph = (
            StateGraph(MessagesState).add_node("inner", graph).add_edge(START, "inner").compile()
        )

    async def run() -> None:
        await leave(graph.astream(QUESTION, stream_mode="messages", subgraphs=True))
        assert await asyncio.to_thread(openai_server.left.get, timeout=PATIENCE) == 10
        # A generator that was only dropped is closed by the event loop, in a task of its own.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=PATIENCE)

    asyncio.run(run())

    assert ended == ["cancelled"]
