"""Agents are tested without their models, against a recorded run."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from langchain_core.language_models import FakeMessagesListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.tools import tool

from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode, tools_condition
from millstream.testing import (
    RecordedModel,
    ScriptedModel,
    aassert_runs_as_recorded,
    assert_runs_as_recorded,
    fake_clock,
)
from millstream.types import RetryPolicy


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool("double")
def treble(number: int) -> int:
    """Treble a number, by mistake."""
    return 3 * number


def agent(model: Any, tools: Any = (double,)) -> Any:
    """Return a graph in which a model calls tools until it knows the answer."""

    def speak(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node(speak)
    builder.add_node("tools", ToolNode(list(tools)))
    builder.add_edge(START, "speak")
    builder.add_conditional_edges("speak", tools_condition)
    builder.add_edge("tools", "speak")
    return builder.compile()


@pytest.fixture
def recording() -> io.BytesIO:
    """Give the recording of a run in which a model has called a tool."""
    call = ToolCall(name="double", args={"number": 21}, id="call 1", type="tool_call")
    said = [AIMessage("", tool_calls=[call]), AIMessage("It is 42, I think")]
    file = io.BytesIO()
    model = FakeMessagesListChatModel(responses=list(said))
    agent(model).invoke({"messages": "double 21"}, record=file)
    return file


def test_tokens_are_said_as_they_were() -> None:
    model, file = GenericFakeChatModel(messages=iter([AIMessage("one two")])), io.BytesIO()
    agent(model).invoke({"messages": "count"}, record=file)

    assert [chunk.content for chunk in RecordedModel(file).stream("count") if chunk.content] == [
        "one",
        " ",
        "two",
    ]
    assert_runs_as_recorded(file, agent(RecordedModel(file)))


def test_a_graph_that_is_as_it_was_passes(recording: Any) -> None:
    assert_runs_as_recorded(recording, agent(RecordedModel(recording)))
    assert_runs_as_recorded(recording, agent(RecordedModel(recording, node="speak")))


def test_async_graphs_are_compared_too(recording: Any) -> None:
    asyncio.run(aassert_runs_as_recorded(recording, agent(RecordedModel(recording))))


def test_a_graph_that_does_something_else_is_told_of(recording: Any) -> None:
    with pytest.raises(AssertionError, match="does not run as recorded") as caught:
        assert_runs_as_recorded(recording, agent(RecordedModel(recording), [treble]))

    lines = str(caught.value).splitlines()
    assert lines[1].startswith("- ")
    assert '"content": "42"' in lines[1]
    assert '"content": "63"' in lines[2]


def test_a_model_that_is_called_more_often_says_so(recording: Any) -> None:
    model = RecordedModel(recording)
    agent(model).invoke({"messages": "double 21"})

    with pytest.raises(AssertionError, match="called 3 times, and 2 times in the recording"):
        model.invoke("once more")
    with pytest.raises(AssertionError, match="called 1 times, and 0 times"):
        RecordedModel(recording, node="nobody").invoke("hi")


def test_another_input_is_another_run(recording: Any) -> None:
    with pytest.raises(AssertionError, match="does not run as recorded"):
        assert_runs_as_recorded(
            recording,
            agent(RecordedModel(recording)),
            input={"messages": "double 22"},
            stream_mode=["values"],
        )


@pytest.mark.parametrize("first", [["It ", "is ", ConnectionError("cut")], ConnectionError("cut")])
def test_a_call_that_has_failed_and_was_made_again_passes(first: Any) -> None:
    def patient(model: Any) -> Any:
        def speak(state: MessagesState) -> Any:
            return {"messages": [model.invoke(state["messages"])]}

        builder = StateGraph(MessagesState).add_node(speak, retry_policy=RetryPolicy())
        return builder.add_edge(START, "speak").compile()

    file = io.BytesIO()
    with fake_clock():
        patient(ScriptedModel(first, "It is 42.")).invoke({"messages": "go"}, record=file)
        model = RecordedModel(file)
        assert_runs_as_recorded(file, patient(model))

    model.assert_done()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_run_that_has_failed_has_to_fail_again(is_async: bool) -> None:
    file = io.BytesIO()
    with pytest.raises(TimeoutError):
        agent(ScriptedModel(["It ", TimeoutError("late")])).invoke({"messages": "go"}, record=file)

    def compare(model: Any) -> None:
        if is_async:
            asyncio.run(aassert_runs_as_recorded(file, agent(model)))
        else:
            assert_runs_as_recorded(file, agent(model))

    compare(RecordedModel(file))
    with pytest.raises(AssertionError, match=r"- raises builtins\.TimeoutError: late"):
        compare(ScriptedModel("It is 42."))
    with pytest.raises(AssertionError, match=r"\+ raises builtins\.ValueError: odd"):
        compare(ScriptedModel(ValueError("odd")))


def test_a_graph_that_fails_and_did_not_raises_its_error(recording: Any) -> None:
    with pytest.raises(ValueError, match="odd"):
        assert_runs_as_recorded(recording, agent(ScriptedModel(ValueError("odd"))))
