"""The examples with language models of LangGraph's guide "Stream outputs", import root changed.

The clients are the real ones; the service they call is in this process. No `from __future__ import
annotations` here: the examples are as they were published. What they print is compared.
"""

import asyncio
import json
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langchain.chat_models import init_chat_model
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI

from guide.openai_server import Gate, OpenAIServer
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.types import StreamWriter

pytestmark = pytest.mark.timeout(60)

JOKE = "Why| did| the| cats| laugh|?| Because|!|"
POEM = "Soft| as| a| cats|,| warm| as| tea|.|"


@dataclass
class MyState:
    topic: str
    joke: str = ""


class State(TypedDict):
    topic: str
    joke: str
    poem: str


def test_tokens_of_a_model_that_a_node_invokes(
    driver: Any, openai_server: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = init_chat_model(model="openai:gpt-4o-mini")

    def call_model(state: MyState):
        """Call the LLM to generate a joke about a topic"""
        llm_response = llm.invoke(
            [{"role": "user", "content": f"Generate a joke about {state.topic}"}]
        )
        return {"joke": llm_response.content}

    graph = StateGraph(MyState).add_node(call_model).add_edge(START, "call_model").compile()

    for message_chunk, metadata in driver.stream(graph, {"topic": "cats"}, stream_mode="messages"):
        if message_chunk.content:
            print(message_chunk.content, end="|", flush=True)
        assert metadata["langgraph_node"] == "call_model"

    assert capsys.readouterr().out == JOKE
    assert [request["stream"] for request in openai_server.requests] == [True]
    final = driver.invoke(graph, {"topic": "ice"})
    assert final == {"topic": "ice", "joke": "Why did the ice laugh? Because!"}


def write_both(*, has_config: bool) -> Any:
    """Return the graph that the guide filters by tags, as it is or without passing the config."""
    joke_model = init_chat_model(model="openai:gpt-4o-mini", tags=["joke"])
    poem_model = init_chat_model(model="openai:gpt-4o-mini", tags=["poem"])

    async def call_model(state, config):
        passed = (config,) if has_config else ()
        topic = state["topic"]
        print("Writing joke...")
        joke_response = await joke_model.ainvoke(
            [{"role": "user", "content": f"Write a joke about {topic}"}], *passed
        )
        print("\n\nWriting poem...")
        poem_response = await poem_model.ainvoke(
            [{"role": "user", "content": f"Write a short poem about {topic}"}], *passed
        )
        return {"joke": joke_response.content, "poem": poem_response.content}

    return StateGraph(State).add_node(call_model).add_edge(START, "call_model").compile()


# LangGraph needs the config to be passed on Python 3.10; here no Python does.
@pytest.mark.parametrize("has_config", [True, False], ids=["config", "no config"])
@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("joke", f"Writing joke...\n{JOKE}\n\nWriting poem...\n"),
        ("poem", f"Writing joke...\n\n\nWriting poem...\n{POEM}"),
    ],
)
def test_tokens_are_filtered_by_the_tags_of_the_model(
    openai_server: OpenAIServer,
    capsys: pytest.CaptureFixture[str],
    has_config: bool,
    tag: str,
    shown: str,
) -> None:
    async def run() -> None:
        async for msg, metadata in write_both(has_config=has_config).astream(
            {"topic": "cats"}, stream_mode="messages"
        ):
            if metadata["tags"] == [tag] and msg.content:
                print(msg.content, end="|", flush=True)

    asyncio.run(run())

    assert capsys.readouterr().out == shown


def test_tokens_are_filtered_by_node(
    driver: Any, openai_server: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ChatOpenAI(model="gpt-4o-mini")

    def write_joke(state: State):
        topic = state["topic"]
        joke_response = model.invoke([{"role": "user", "content": f"Write a joke about {topic}"}])
        return {"joke": joke_response.content}

    def write_poem(state: State):
        topic = state["topic"]
        poem_response = model.invoke(
            [{"role": "user", "content": f"Write a short poem about {topic}"}]
        )
        return {"poem": poem_response.content}

    graph = (
        StateGraph(State)
        .add_node(write_joke)
        .add_node(write_poem)
        # write both the joke and the poem concurrently
        .add_edge(START, "write_joke")
        .add_edge(START, "write_poem")
        .compile()
    )
    chunks = driver.stream(graph, {"topic": "cats"}, stream_mode="messages")

    for node in ("write_poem", "write_joke"):
        for msg, metadata in chunks:
            if msg.content and metadata["langgraph_node"] == node:
                print(msg.content, end="|", flush=True)

    assert capsys.readouterr().out == POEM + JOKE


@pytest.mark.parametrize("has_config", [True, False], ids=["config", "no config"])
def test_an_async_node_streams_with_and_without_passing_the_config(
    openai_server: OpenAIServer, capsys: pytest.CaptureFixture[str], has_config: bool
) -> None:
    llm = init_chat_model(model="openai:gpt-4o-mini")

    async def call_with_config(state, config):
        topic = state["topic"]
        print("Generating joke...")
        joke_response = await llm.ainvoke(
            [{"role": "user", "content": f"Write a joke about {topic}"}],
            config,
        )
        return {"joke": joke_response.content}

    async def call(state):
        topic = state["topic"]
        print("Generating joke...")
        joke_response = await llm.ainvoke(
            [{"role": "user", "content": f"Write a joke about {topic}"}]
        )
        return {"joke": joke_response.content}

    graph = (
        StateGraph(State)
        .add_node("call_model", call_with_config if has_config else call)
        .add_edge(START, "call_model")
        .compile()
    )

    async def run() -> None:
        async for chunk, _metadata in graph.astream({"topic": "cats"}, stream_mode="messages"):
            if chunk.content:
                print(chunk.content, end="|", flush=True)

    asyncio.run(run())

    assert capsys.readouterr().out == f"Generating joke...\n{JOKE}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: init_chat_model("openai:gpt-4o-mini", disable_streaming=True),
        lambda: ChatOpenAI(model="o1-preview", disable_streaming=True),
    ],
    ids=["init_chat_model", "ChatOpenAI"],
)
def test_a_model_that_does_not_stream_is_heard_whole(
    driver: Any, openai_server: OpenAIServer, make: Callable[[], Any]
) -> None:
    model = make()

    def call_model(state: MyState):
        return {"joke": model.invoke(f"Generate a joke about {state.topic}").content}

    graph = StateGraph(MyState).add_node(call_model).add_edge(START, "call_model").compile()

    ((message, metadata),) = driver.stream(graph, {"topic": "cats"}, stream_mode="messages")

    assert (message.type, message.content) == ("ai", "Why did the cats laugh? Because!")
    assert metadata["langgraph_node"] == "call_model"
    assert [request["stream"] for request in openai_server.requests] == [False]


class TopicState(TypedDict):
    topic: str
    result: str


def test_any_client_streams_through_custom(driver: Any, openai_server: OpenAIServer) -> None:
    def your_custom_streaming_client(topic: str) -> Iterator[str]:
        with OpenAI() as client:
            for chunk in client.chat.completions.create(
                messages=[{"role": "user", "content": f"Write a short poem about {topic}"}],
                model="gpt-4o-mini",
                stream=True,
            ):
                if chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

    def call_arbitrary_model(state):
        """Example node that calls an arbitrary model and streams the output"""
        writer = get_stream_writer()
        for chunk in your_custom_streaming_client(state["topic"]):
            writer({"custom_llm_chunk": chunk})
        return {"result": "completed"}

    graph = (
        StateGraph(TopicState)
        .add_node(call_arbitrary_model)
        .add_edge(START, "call_arbitrary_model")
        .compile()
    )

    chunks = driver.stream(graph, {"topic": "cats"}, stream_mode="custom")

    assert chunks == [{"custom_llm_chunk": token} for token in POEM.split("|")[:-1]]


class DictMessagesState(TypedDict):
    messages: Annotated[list[dict], operator.add]


def test_any_async_client_streams_from_an_async_node(openai_server: OpenAIServer) -> None:
    """Each token is there before the service sends the next, without LangChain."""
    words = ["Why", " did", " the", " mill", " stop?"]
    gates = {word: Gate() for word in words}
    openai_server.answer = lambda request: [
        step for word, gate in gates.items() for step in (word, gate)
    ]

    async def call_client(state: State, writer: StreamWriter):
        async with AsyncOpenAI() as client:
            chunks = await client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": f"A joke about {state['topic']}"}],
                stream=True,
            )
            joke = ""
            async for chunk in chunks:
                if word := chunk.choices[0].delta.content:
                    writer({"word": word})
                    joke += word
        return {"joke": joke}

    graph = StateGraph(State).add_node(call_client).add_edge(START, "call_client").compile()

    async def run() -> list[Any]:
        seen: list[Any] = []
        modes = ["custom", "updates"]
        async for mode, item in graph.astream({"topic": "mills"}, stream_mode=modes):
            seen.append(item)
            if mode == "custom":
                gates[item["word"]].opened.set()
        return seen

    *streamed, update = asyncio.run(run())

    assert streamed == [{"word": word} for word in words]
    assert update == {"call_client": {"joke": "".join(words)}}


def test_an_arbitrary_chat_model_streams_from_an_async_tool(
    openai_server: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    model_name = "gpt-4o-mini"

    async def stream_tokens(model_name: str, messages: list[dict]):
        response = await openai_client.chat.completions.create(
            messages=messages, model=model_name, stream=True
        )
        role = None
        async for chunk in response:
            delta = chunk.choices[0].delta

            if delta.role is not None:
                role = delta.role

            if delta.content:
                yield {"role": role, "content": delta.content}

    # this is our tool
    async def get_items(place: str) -> str:
        """Use this tool to list items one might find in a place you're asked about."""
        writer = get_stream_writer()
        response = ""
        async for msg_chunk in stream_tokens(
            model_name,
            [
                {
                    "role": "user",
                    "content": (
                        "Can you tell me what kind of items "
                        f"i might find in the following place: '{place}'. "
                        "List at least 3 such items separating them by a comma. "
                        "And include a brief description of each item."
                    ),
                }
            ],
        ):
            response += msg_chunk["content"]
            writer(msg_chunk)

        return response

    # this is the tool-calling graph node
    async def call_tool(state: DictMessagesState):
        ai_message = state["messages"][-1]
        tool_call = ai_message["tool_calls"][-1]

        function_name = tool_call["function"]["name"]
        if function_name != "get_items":
            raise ValueError(f"Tool {function_name} not supported")

        function_arguments = tool_call["function"]["arguments"]
        arguments = json.loads(function_arguments)

        function_response = await get_items(**arguments)
        tool_message = {
            "tool_call_id": tool_call["id"],
            "role": "tool",
            "name": function_name,
            "content": function_response,
        }
        return {"messages": [tool_message]}

    graph = StateGraph(DictMessagesState).add_node(call_tool).add_edge(START, "call_tool").compile()
    inputs = {
        "messages": [
            {
                "content": None,
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "1",
                        "function": {
                            "arguments": '{"place":"bedroom"}',
                            "name": "get_items",
                        },
                        "type": "function",
                    }
                ],
            }
        ]
    }

    async def run() -> Any:
        async with openai_client:
            async for mode, chunk in graph.astream(inputs, stream_mode=["custom", "values"]):
                if mode == "custom":
                    print(chunk["content"], end="|", flush=True)
            return chunk["messages"][-1]

    openai_client = AsyncOpenAI()
    message = asyncio.run(run())

    tokens = capsys.readouterr().out
    assert tokens == "bed: to sleep in|, lamp|: to read by|, rug: warm|"
    assert message == {
        "tool_call_id": "1",
        "role": "tool",
        "name": "get_items",
        "content": tokens.replace("|", ""),
    }
