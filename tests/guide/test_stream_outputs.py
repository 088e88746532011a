"""The examples of LangGraph's guide "Stream outputs" run with only the import root changed.

No `from __future__ import annotations` here: the examples are as they were published. What they
print is compared with what the guide shows; where it shows nothing, with what LangGraph prints.
`test_language_models` has the examples with language models.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, TypedDict

import pytest
from langchain_core.tools import tool

from millstream.config import get_stream_writer
from millstream.graph import END, START, StateGraph
from millstream.types import StreamWriter

pytestmark = pytest.mark.timeout(20)

TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def printed(chunks: list[Any]) -> list[str]:
    """Return what `print` would show of each chunk, ids aside."""
    return [TASK_ID.sub("<id>", str(chunk)) for chunk in chunks]


class State(TypedDict):
    topic: str
    joke: str


def refine_topic(state: State):
    return {"topic": state["topic"] + " and cats"}


def generate_joke(state: State):
    return {"joke": f"This is a joke about {state['topic']}"}


@pytest.fixture
def joke_graph() -> Any:
    return (
        StateGraph(State)
        .add_node(refine_topic)
        .add_node(generate_joke)
        .add_edge(START, "refine_topic")
        .add_edge("refine_topic", "generate_joke")
        .add_edge("generate_joke", END)
        .compile()
    )


def test_updates_prints_what_the_guide_shows(driver: Any, joke_graph: Any) -> None:
    chunks = driver.stream(joke_graph, {"topic": "ice cream"}, stream_mode="updates")

    assert printed(chunks) == [
        "{'refine_topic': {'topic': 'ice cream and cats'}}",
        "{'generate_joke': {'joke': 'This is a joke about ice cream and cats'}}",
    ]


def test_values_prints_the_state_after_each_step(driver: Any, joke_graph: Any) -> None:
    chunks = driver.stream(joke_graph, {"topic": "ice cream"}, stream_mode="values")

    assert printed(chunks) == [
        "{'topic': 'ice cream'}",
        "{'topic': 'ice cream and cats'}",
        "{'topic': 'ice cream and cats', 'joke': 'This is a joke about ice cream and cats'}",
    ]


def test_several_modes_print_tuples_of_mode_and_chunk(driver: Any, joke_graph: Any) -> None:
    chunks = driver.stream(joke_graph, {"topic": "ice cream"}, stream_mode=["updates", "custom"])

    assert printed(chunks) == [
        "('updates', {'refine_topic': {'topic': 'ice cream and cats'}})",
        "('updates', {'generate_joke': {'joke': 'This is a joke about ice cream and cats'}})",
    ]


def test_debug_names_nodes_and_shows_their_state(driver: Any, joke_graph: Any) -> None:
    chunks = driver.stream(joke_graph, {"topic": "ice cream"}, stream_mode="debug")

    times = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00")
    assert [times.sub("<time>", line) for line in printed(chunks)] == [
        "{'step': 1, 'timestamp': '<time>', 'type': 'task', 'payload': {'id': '<id>',"
        " 'name': 'refine_topic', 'input': {'topic': 'ice cream'},"
        " 'triggers': ('branch:to:refine_topic',)}}",
        "{'step': 1, 'timestamp': '<time>', 'type': 'task_result', 'payload': {'id': '<id>',"
        " 'name': 'refine_topic', 'error': None, 'result': {'topic': 'ice cream and cats'},"
        " 'interrupts': []}}",
        "{'step': 2, 'timestamp': '<time>', 'type': 'task', 'payload': {'id': '<id>',"
        " 'name': 'generate_joke', 'input': {'topic': 'ice cream and cats'},"
        " 'triggers': ('branch:to:generate_joke',)}}",
        "{'step': 2, 'timestamp': '<time>', 'type': 'task_result', 'payload': {'id': '<id>',"
        " 'name': 'generate_joke', 'error': None,"
        " 'result': {'joke': 'This is a joke about ice cream and cats'}, 'interrupts': []}}",
    ]


class SubgraphState(TypedDict):
    foo: str  # note that this key is shared with the parent graph state
    bar: str


class ParentState(TypedDict):
    foo: str


def test_subgraphs_print_what_the_guide_shows(driver: Any) -> None:
    def subgraph_node_1(state: SubgraphState):
        return {"bar": "bar"}

    def subgraph_node_2(state: SubgraphState):
        return {"foo": state["foo"] + state["bar"]}

    subgraph_builder = StateGraph(SubgraphState)
    subgraph_builder.add_node(subgraph_node_1)
    subgraph_builder.add_node(subgraph_node_2)
    subgraph_builder.add_edge(START, "subgraph_node_1")
    subgraph_builder.add_edge("subgraph_node_1", "subgraph_node_2")
    subgraph = subgraph_builder.compile()

    def node_1(state: ParentState):
        return {"foo": "hi! " + state["foo"]}

    builder = StateGraph(ParentState)
    builder.add_node("node_1", node_1)
    builder.add_node("node_2", subgraph)
    builder.add_edge(START, "node_1")
    builder.add_edge("node_1", "node_2")
    graph = builder.compile()

    chunks = driver.stream(graph, {"foo": "foo"}, stream_mode="updates", subgraphs=True)

    assert printed(chunks) == [
        "((), {'node_1': {'foo': 'hi! foo'}})",
        "(('node_2:<id>',), {'subgraph_node_1': {'bar': 'bar'}})",
        "(('node_2:<id>',), {'subgraph_node_2': {'foo': 'hi! foobar'}})",
        "((), {'node_2': {'foo': 'hi! foobar'}})",
    ]
    assert len({namespace for namespace, _ in chunks}) == 2


class QueryState(TypedDict):
    query: str
    answer: str


def test_custom_items_from_a_node(driver: Any) -> None:
    def node(state: QueryState):
        writer = get_stream_writer()
        writer({"custom_key": "Generating custom data inside node"})
        return {"answer": "some data"}

    graph = StateGraph(QueryState).add_node(node).add_edge(START, "node").compile()
    inputs = {"query": "example"}

    assert printed(driver.stream(graph, inputs, stream_mode="custom")) == [
        "{'custom_key': 'Generating custom data inside node'}"
    ]
    assert printed(driver.stream(graph, inputs, stream_mode=["updates", "custom"])) == [
        "('custom', {'custom_key': 'Generating custom data inside node'})",
        "('updates', {'node': {'answer': 'some data'}})",
    ]


@tool
def query_database(query: str) -> str:
    """Query the database."""
    writer = get_stream_writer()
    writer({"data": "Retrieved 0/100 records", "type": "progress"})
    writer({"data": "Retrieved 100/100 records", "type": "progress"})
    return "some-answer"


TOOL_LINES = [
    "{'data': 'Retrieved 0/100 records', 'type': 'progress'}",
    "{'data': 'Retrieved 100/100 records', 'type': 'progress'}",
]


def test_custom_items_from_a_tool(driver: Any) -> None:
    def call_tool(state: QueryState):
        return {"answer": query_database.invoke({"query": state["query"]})}

    graph = StateGraph(QueryState).add_node(call_tool).add_edge(START, "call_tool").compile()

    assert printed(driver.stream(graph, {"query": "q"}, stream_mode="custom")) == TOOL_LINES
    assert driver.invoke(graph, {"query": "q"}) == {"query": "q", "answer": "some-answer"}


def test_custom_items_from_a_tool_that_an_async_node_awaits() -> None:
    async def call_tool(state: QueryState):
        return {"answer": await query_database.ainvoke({"query": state["query"]})}

    graph = StateGraph(QueryState).add_node(call_tool).add_edge(START, "call_tool").compile()

    assert printed(collect(graph, {"query": "q"}, stream_mode="custom")) == TOOL_LINES


def collect(graph: Any, inputs: Any, **kwargs: Any) -> list[Any]:
    """Return every chunk of `astream`."""

    async def run() -> list[Any]:
        return [chunk async for chunk in graph.astream(inputs, **kwargs)]

    return asyncio.run(run())


class TopicState(TypedDict):
    topic: str
    result: str


def your_custom_streaming_client(topic: str) -> Iterator[str]:
    yield from ("All ", topic, " purr.")


def test_any_llm_streams_through_custom(driver: Any) -> None:
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

    assert printed(driver.stream(graph, {"topic": "cats"}, stream_mode="custom")) == [
        "{'custom_llm_chunk': 'All '}",
        "{'custom_llm_chunk': 'cats'}",
        "{'custom_llm_chunk': ' purr.'}",
    ]
    assert driver.invoke(graph, {"topic": "cats"}) == {"topic": "cats", "result": "completed"}


def test_an_async_node_with_a_writer_parameter() -> None:
    async def generate_joke(state: State, writer: StreamWriter):
        writer({"custom_key": "Streaming custom data while generating a joke"})
        return {"joke": f"This is a joke about {state['topic']}"}

    graph = StateGraph(State).add_node(generate_joke).add_edge(START, "generate_joke").compile()

    assert printed(collect(graph, {"topic": "ice cream"}, stream_mode="custom")) == [
        "{'custom_key': 'Streaming custom data while generating a joke'}"
    ]


def test_an_async_node_with_get_stream_writer() -> None:
    async def node(state: QueryState):
        writer = get_stream_writer()
        writer({"custom_key": "Generating custom data inside node"})
        await asyncio.sleep(0)
        get_stream_writer()({"custom_key": "after an await"})
        return {"answer": "some data"}

    graph = StateGraph(QueryState).add_node(node).add_edge(START, "node").compile()

    assert printed(collect(graph, {"query": "example"}, stream_mode="custom")) == [
        "{'custom_key': 'Generating custom data inside node'}",
        "{'custom_key': 'after an await'}",
    ]
