"""Calls of an attempt that has failed and was tried again are over, in every protocol."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

import millstream
from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, StateGraph
from millstream.protocols import agui, aisdk, facts, openai
from millstream.protocols.reading import TRANSFORMERS, TRIED_AGAIN, Reader
from millstream.types import RetryPolicy
from protocols import scripted

HI: Any = {"messages": [("user", "hi")]}
AGAIN = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)


def called(id: str) -> AIMessageChunk:
    """Return a call in one chunk."""
    piece: Any = {"name": "weigh", "args": "{}", "id": id, "index": 0, "type": "tool_call_chunk"}
    return AIMessageChunk("", tool_call_chunks=[piece])


def whole(id: str) -> AIMessage:
    """Return a call that a node makes up."""
    return AIMessage("", tool_calls=[{"name": "weigh", "args": {}, "id": id, "type": "tool_call"}])


def trying(*, is_whole: bool = False) -> Any:
    """Return a graph whose node calls a tool, fails, and calls it again with another id."""
    calls = iter(["c1", "c2"])

    def agent(state: scripted.State) -> dict[str, Any]:
        id = next(calls)
        said: Any = scripted.Scripted(chunks=[called(id)]).invoke("hi")
        if id == "c1":
            raise ValueError("not yet")
        # A model that is not asked again: the node says itself what it calls.
        return {"messages": [whole("c2")] if is_whole else [said]}

    builder = StateGraph(scripted.State)
    return builder.add_node(agent, retry_policy=AGAIN).add_edge(START, "agent").compile()


def calling(saver: Any = None) -> Any:
    """Return a graph whose nested one calls a tool, fails behind that, and is called again."""
    calls, failures = iter(["c1", "c2"]), iter([ValueError("not yet")])

    def agent(state: scripted.State) -> dict[str, Any]:
        return {"messages": [scripted.Scripted(chunks=[called(next(calls))]).invoke("hi")]}

    def check(state: scripted.State) -> None:
        for failure in failures:
            raise failure

    inner = StateGraph(scripted.State).add_sequence([agent, check]).add_edge(START, "agent")
    builder = StateGraph(scripted.State)
    builder.add_node("inner", inner.compile(), retry_policy=AGAIN).add_edge(START, "inner")
    return builder.compile(saver)


def told(graph: Any, **options: Any) -> list[facts.Fact]:
    """Return the facts of a run."""
    reader = Reader()
    with graph.stream_events(HI, version="v3", transformers=TRANSFORMERS, **options) as run:
        return [fact for event in run for fact in reader.read(event)]


def ends(found: list[facts.Fact]) -> list[facts.Fact]:
    """Return which calls were answered."""
    return [fact for fact in found if isinstance(fact, facts.CallAnswered)]


def said(id: str, task: str, *namespace: str) -> list[Any]:
    """Return the events of a message of a task that calls a tool, as the server has them."""
    metadata = {"run_id": id, "langgraph_checkpoint_ns": task}
    call = {"type": "tool_call", "id": f"of-{id}", "name": "weigh", "args": {}}

    def event(kind: str, **more: Any) -> Any:
        data = {"event": kind, "id": id, **more}, metadata
        return {"method": "messages", "params": {"namespace": namespace, "data": data}}

    return [
        event("message-start", role="ai"),
        event("content-block-finish", index=0, content=call),
        event("message-finish"),
    ]


OVER = [facts.CallAnswered("c1", "weigh", None, TRIED_AGAIN)]


@pytest.mark.parametrize("make", [trying, lambda: trying(is_whole=True), calling])
def test_calls_of_a_failed_attempt_are_answered_by_that(make: Any) -> None:
    file = io.BytesIO()

    assert ends(told(make(), record=file)) == OVER
    assert ends(told(millstream.replay(file))) == OVER


@pytest.mark.parametrize("saver", [None, InMemorySaver()], ids=["", "saved"])
def test_calls_of_a_graph_that_has_failed_are_over_when_it_is_called_again(saver: Any) -> None:
    found = told(calling(saver), config={"configurable": {"thread_id": "1"}})
    marks = [fact for fact in found if isinstance(fact, (facts.GraphBegan, facts.CallAnswered))]

    assert [type(fact) for fact in marks] == [
        facts.GraphBegan, facts.CallAnswered, facts.GraphBegan,
    ]  # fmt: skip
    assert marks[1:2] == OVER


def test_a_graph_that_fails_leaves_calls_of_others_alone() -> None:
    def graph(event: str, *path: str) -> Any:
        data = {"event": event, "graph_name": "mill"}
        return {"method": "lifecycle", "params": {"namespace": path, "data": data}}

    reader = Reader()
    for event in (
        graph("started", "a:1"),
        graph("started", "a:1", "1"),
        graph("started", "b:2"),
        *said("one", "a:1|x:1", "a:1"),
        *said("two", "a:1|1|x:2", "a:1", "1"),
        *said("three", "b:2|x:3", "b:2"),
        graph("failed", "a:1"),
        graph("failed", "b:2"),
        graph("started", "a:1", "2"),
    ):
        list(reader.read(event))

    assert list(reader.waiting) == ["of-two", "of-three"]


def test_calls_of_two_models_in_one_attempt_wait_both() -> None:
    def agent(state: scripted.State) -> dict[str, Any]:
        models = [scripted.Scripted(chunks=[called(id)]) for id in ("c1", "c2")]
        return {"messages": [model.invoke("hi") for model in models]}

    graph = StateGraph(scripted.State).add_node(agent).add_edge(START, "agent").compile()

    assert ends(told(graph)) == []


def test_a_run_that_begins_again_ends_calls_of_tasks_that_speak_again() -> None:
    reader = Reader()
    for each in (*said("one", "a:1"), *said("two", "b:2")):
        list(reader.read(each))
    list(reader.close())
    found = [fact for each in said("three", "a:1") for fact in reader.read(each)]

    assert ends(found) == [facts.CallAnswered("of-one", "weigh", None, TRIED_AGAIN)]
    assert list(reader.waiting) == ["of-two", "of-three"]


def parsed(lines: Any) -> list[dict[str, Any]]:
    """Return the events in lines of server-sent events."""
    texts = [text[6:] for text in "".join(lines).splitlines() if text.startswith("data: ")]
    return [json.loads(text) for text in texts if text != "[DONE]"]


def test_agui_has_no_pending_call_of_it() -> None:
    events = parsed(agui.stream(trying(), HI))

    (result,) = [each for each in events if each["type"] == "TOOL_CALL_RESULT"]
    assert (result["toolCallId"], result["content"]) == ("c1", TRIED_AGAIN)
    assert result["metadata"] == {"status": "error"}
    assert events[-1]["outcome"]["pendingToolCallIds"] == ["c2"]


def test_aisdk_tells_that_it_has_failed() -> None:
    events = parsed(aisdk.stream(trying(), HI))

    failed = [each for each in events if each["type"] == "tool-output-error"]
    assert [(each["toolCallId"], each["errorText"]) for each in failed] == [("c1", TRIED_AGAIN)]


def test_openai_leaves_it_to_nobody() -> None:
    encoder = openai.ChatEncoder("mill")
    list(openai.stream_chat(trying(), HI, encoder=encoder))
    (made,) = encoder.result()["choices"][0]["message"]["tool_calls"]
    responses = openai.ResponsesEncoder("mill")
    list(openai.stream_response(trying(), HI, encoder=responses))
    output = responses.result()["output"]

    assert made["id"] == "c2"
    assert [each["call_id"] for each in output if each["type"] == "function_call"] == ["c2"]
