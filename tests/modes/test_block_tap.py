"""What models and nodes say in a run stream: events of content blocks, and whole messages."""

from __future__ import annotations

import asyncio
import copy
import operator
import pickle
from functools import reduce
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel

from millstream.graph import START, StateGraph
from millstream.graph.message import MessagesState, push_message
from millstream.modes.content_blocks import ErrorEvent
from millstream.stream import convert_to_protocol_event
from millstream.types import interrupt


class Speaker(BaseChatModel):
    """Says these chunks, then raises the error, if any."""

    chunks: list[AIMessageChunk]
    error: Any = None

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        for chunk in self.chunks:
            yield ChatGenerationChunk(message=chunk.model_copy(deep=True))
        if self.error is not None:
            raise self.error


class Printer(BaseChatModel):
    """Says all at once."""

    message: AIMessage

    @property
    def _llm_type(self) -> str:
        return "printer"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.message.model_copy())])


def speaker(*tokens: str, error: Exception | None = None, **fields: Any) -> Speaker:
    return Speaker(chunks=[AIMessageChunk(content=t, **fields) for t in tokens], error=error)


def graph_of(*nodes: Any) -> Any:
    """Compile a graph of messages that runs these nodes at once."""
    builder = StateGraph(MessagesState)
    for index, node in enumerate(nodes):
        builder.add_node(f"n{index}", node)
        builder.add_edge(START, f"n{index}")
    return builder.compile()


def saying(model: Any) -> Any:
    """Return a node that returns what a model says."""
    return lambda state: {"messages": [model.invoke(state["messages"])]}


def events_of(driver: Any, graph: Any, input: Any = None) -> list[Any]:
    """Return the event log of a run, up to its failure if it fails with a `ValueError`."""
    given = {"messages": []} if input is None else input
    events: list[Any] = []

    def read() -> None:
        events.extend(graph.stream_events(given, version="v3"))

    async def aread() -> None:
        async for event in await graph.astream_events(given, version="v3"):
            events.append(event)

    try:
        read() if driver.name == "sync" else asyncio.run(aread())
    except ValueError as error:
        events.append(error)
    return events


def said(driver: Any, graph: Any) -> list[Any]:
    """Return what the `messages` events of a run say, without the metadata."""
    return [
        event["params"]["data"][0]
        for event in events_of(driver, graph)
        if isinstance(event, dict) and event["method"] == "messages"
    ]


def kinds(events: list[Any]) -> list[str]:
    """Return what sort of events these are, `text` with its text, of messages the class."""
    return [
        event["delta"]["text"]
        if isinstance(event, dict) and event["event"] == "content-block-delta"
        else event["event"]
        if isinstance(event, dict)
        else type(event).__name__
        for event in events
    ]


AB = ["message-start", "content-block-start", "a", "b", "content-block-finish", "message-finish"]


def test_an_invoked_model_is_heard_token_by_token(driver: Any) -> None:
    events = said(driver, graph_of(saying(speaker("a", "b"))))

    assert events == [
        {"event": "message-start", "role": "ai", "id": events[0]["id"]},
        {"event": "content-block-start", "index": 0, "content": {"type": "text", "text": ""}},
        {
            "event": "content-block-delta",
            "index": 0,
            "delta": {"type": "text-delta", "text": "a"},
        },
        {
            "event": "content-block-delta",
            "index": 0,
            "delta": {"type": "text-delta", "text": "b"},
        },
        {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": "ab"}},
        {"event": "message-finish"},
    ]


def test_watching_does_not_rewrite_the_state(driver: Any) -> None:
    graph = graph_of(saying(speaker("a", "b", response_metadata={"k": "v"})))

    values = [event for event in events_of(driver, graph) if event["method"] == "values"]

    message = values[-1]["params"]["data"]["messages"][0]
    assert message.content == "ab"
    assert message.response_metadata == {"k": "vv"}


def test_a_model_that_a_node_streams_is_heard_too_and_only_once(driver: Any) -> None:
    model = speaker("a", "b")

    def node(state: Any) -> Any:
        return {"messages": [reduce(operator.add, model.stream("x"))]}

    assert kinds(said(driver, graph_of(node))) == AB


def test_a_message_is_finished_when_the_node_has_heard_enough(driver: Any) -> None:
    model = speaker("a", "b", "c")

    def node(state: Any) -> None:
        words = model.stream("x")
        next(words)
        next(words)
        words.close()

    assert kinds(said(driver, graph_of(node))) == AB


def test_events_carry_the_metadata_of_the_model_and_its_run(driver: Any) -> None:
    model = speaker("a").with_config(tags=["mine"])

    events = events_of(driver, graph_of(saying(model)))
    heard = [event["params"]["data"][1] for event in events if event["method"] == "messages"]

    assert len({id(metadata) for metadata in heard}) == 1
    assert heard[0]["langgraph_node"] == "n0"
    assert heard[0]["tags"] == ["mine"]
    assert isinstance(heard[0]["run_id"], str)


def test_models_that_speak_at_once_are_told_apart_by_their_run(driver: Any) -> None:
    graph = graph_of(saying(speaker("a", "b")), saying(speaker("a", "b")))

    spoken: dict[str, list[Any]] = {}
    for event in events_of(driver, graph):
        if event["method"] == "messages":
            words, metadata = event["params"]["data"]
            spoken.setdefault(metadata["run_id"], []).append(words)

    assert [kinds(events) for events in spoken.values()] == [AB, AB]


def test_a_nested_graph_is_heard_under_its_own_namespace(driver: Any) -> None:
    graph = graph_of(graph_of(saying(speaker("a", "b"))))

    events = [event for event in events_of(driver, graph) if event["method"] == "messages"]

    assert kinds([event["params"]["data"][0] for event in events]) == AB
    assert {event["params"]["namespace"][0].split(":")[0] for event in events} == {"n0"}


def test_the_provider_names_the_message(driver: Any) -> None:
    graph = graph_of(saying(speaker("a", "b", id="own")))

    log = events_of(driver, graph)
    events = [event["params"]["data"][0] for event in log if event["method"] == "messages"]

    assert kinds(events) == AB
    assert events[0]["id"] == "own"
    assert [message.id for message in log[-1]["params"]["data"]["messages"]] == ["own"]


def test_a_message_that_is_named_late_is_not_sent_twice(driver: Any) -> None:
    chunks = [AIMessageChunk(content="a"), AIMessageChunk(content="b", id="late")]

    assert kinds(said(driver, graph_of(saying(Speaker(chunks=chunks))))) == AB


def test_a_model_that_says_all_at_once_sends_a_message(driver: Any) -> None:
    message = AIMessage("ab", id="m1")

    events = said(driver, graph_of(saying(Printer(message=message))))

    assert events == [message]


def test_a_silent_model_is_not_heard_before_its_message_is_returned(driver: Any) -> None:
    model = speaker("a", "b").with_config(tags=["nostream"])

    def node(state: Any) -> None:
        model.invoke("x")

    assert said(driver, graph_of(node)) == []
    assert [message.content for message in said(driver, graph_of(saying(model)))] == ["ab"]


def test_nodes_send_whole_messages_of_any_class_but_no_tool_results(driver: Any) -> None:
    messages: list[BaseMessage] = [
        AIMessage("a", id="1"),
        HumanMessage("b", id="2"),
        ToolMessage("c", tool_call_id="4", id="3"),
    ]

    def node(state: Any) -> Any:
        push_message(HumanMessage("pushed", id="0"))
        return {"messages": messages}

    log = [event for event in events_of(driver, graph_of(node)) if event["method"] == "messages"]

    assert [event["params"]["data"][0] for event in log] == [
        HumanMessage("pushed", id="0"),
        *messages[:2],
    ]
    assert all("run_id" not in event["params"]["data"][1] for event in log)


def test_a_model_that_fails_says_so_in_the_middle_of_its_message(driver: Any) -> None:
    error = ValueError("no more words")

    *log, raised = events_of(driver, graph_of(saying(speaker("a", error=error))))
    events = [event["params"]["data"][0] for event in log if event["method"] == "messages"]

    assert kinds(events) == ["message-start", "content-block-start", "a", "error"]
    assert events[-1] == {"event": "error", "message": "no more words"}
    assert events[-1].error is error
    assert raised is error


def test_a_model_that_fails_before_its_first_word_says_nothing(driver: Any) -> None:
    *log, raised = events_of(driver, graph_of(saying(speaker(error=ValueError("mute")))))

    assert [event["method"] for event in log] == ["values"]
    assert str(raised) == "mute"


def test_the_event_of_an_error_can_be_copied_and_names_what_has_no_text() -> None:
    event = ErrorEvent(KeyError())

    assert event == {"event": "error", "message": "KeyError"}
    for copied in (copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert copied == event
        assert isinstance(copied.error, KeyError)


def test_only_run_streams_give_events(driver: Any) -> None:
    graph = graph_of(saying(speaker("a")))

    for call in (driver.stream, driver.invoke):
        with pytest.raises(ValueError, match="Unknown stream version 'v3'; use one of v1, v2"):
            call(graph, {"messages": []}, version="v3")


class Draft(BaseModel):
    """A state that is no dict."""

    title: str
    length: int = 0


def test_events_hold_the_state_in_the_class_of_the_graph(driver: Any) -> None:
    builder = StateGraph(Draft).add_node("n", lambda state: {"length": len(state.title)})
    graph = builder.add_edge(START, "n").compile()

    log = events_of(driver, graph, {"title": "ab"})
    values = [event["params"] for event in log if event["method"] == "values"]

    assert [params["data"] for params in values] == [Draft(title="ab"), Draft(title="ab", length=2)]
    assert [params["interrupts"] for params in values] == [(), ()]
    assert [params["namespace"] for params in values] == [[], []]


def test_events_of_values_have_the_questions_beside_the_state(driver: Any) -> None:
    graph = graph_of(lambda state: interrupt("sure?"))

    params = events_of(driver, graph)[-1]["params"]

    assert params["data"] == {"messages": []}
    assert [each.value for each in params["interrupts"]] == ["sure?"]


def test_a_typed_part_becomes_an_event() -> None:
    namespace = ("a:1", "b:2")

    event = convert_to_protocol_event({"type": "updates", "ns": namespace, "data": {"n": 1}})  # type: ignore[typeddict-item]

    params = event["params"]
    assert event == {"type": "event", "method": "updates", "params": params}
    assert params == {
        "namespace": ["a:1", "b:2"],
        "timestamp": params["timestamp"],
        "data": {"n": 1},
    }
    assert isinstance(params["timestamp"], int)
