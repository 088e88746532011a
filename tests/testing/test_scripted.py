"""Models say what a script has, and tell what they were asked."""

from __future__ import annotations

import asyncio
import doctest
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from millstream._base.runnable import RunnableCallable
from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode, tools_condition
from millstream.testing import ModelCall, Pause, ScriptedModel, fake_clock, tool_call


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


class Sync:
    """Ask a model in this thread."""

    def invoke(self, model: Any, input: Any) -> Any:
        """Return the whole answer."""
        return model.invoke(input)

    def stream(self, model: Any, input: Any) -> list[str]:
        """Return the texts of the chunks, but for empty ones."""
        return [chunk.text for chunk in model.stream(input) if chunk.text]


class Async(Sync):
    """Ask a model in an event loop."""

    def invoke(self, model: Any, input: Any) -> Any:
        """Return the whole answer."""
        return asyncio.run(model.ainvoke(input))

    def stream(self, model: Any, input: Any) -> list[str]:
        """Return the texts of the chunks, but for empty ones."""

        async def read() -> list[str]:
            return [chunk.text async for chunk in model.astream(input) if chunk.text]

        return asyncio.run(read())


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Any:
    """Give a way to ask a model; the test runs once with each."""
    return request.param()


def agent(model: Any) -> Any:
    """Return a graph in which a model calls tools until it knows the answer."""

    def speak(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def aspeak(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("speak", RunnableCallable(speak, aspeak))
    builder.add_node("tools", ToolNode([double]))
    builder.add_edge(START, "speak")
    builder.add_conditional_edges("speak", tools_condition)
    builder.add_edge("tools", "speak")
    return builder.compile()


def test_a_text_is_said_word_by_word(ask: Any) -> None:
    model = ScriptedModel("It is  42.\n", "", repeat=True)

    assert ask.stream(model, "?") == ["It", " is", "  42.", "\n"]
    assert ask.invoke(model, "?").content == ""
    assert ask.invoke(model, "?").content == "It is  42.\n"


def test_a_list_is_said_part_by_part(ask: Any) -> None:
    turn = ["It i", "s 42.", tool_call("double", {"number": 1}), tool_call("double", id="mine")]
    model = ScriptedModel(turn, turn)

    said = ask.invoke(model, "?")

    assert ask.stream(model, "?") == ["It i", "s 42."]
    assert type(said) is AIMessage
    assert said.content == "It is 42."
    assert [(c["name"], c["args"], c["id"]) for c in said.tool_calls] == [
        ("double", {"number": 1}, "call_1"),
        ("double", {}, "mine"),
    ]


def test_whole_messages_keep_what_they_have(ask: Any) -> None:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    message = AIMessage("Hello you", usage_metadata=usage, id="7")  # type: ignore[arg-type]
    blocks = AIMessage([{"type": "text", "text": "Hi"}], tool_calls=[tool_call("f", id="1")])
    model = ScriptedModel(message, message, blocks, AIMessageChunk("c"))

    assert ask.stream(model, "?") == ["Hello", " you"]
    said = ask.invoke(model, "?")
    assert (said.content, said.usage_metadata, said.id) == ("Hello you", usage, "7")
    said = ask.invoke(model, "?")
    assert (said.content, said.tool_calls) == (blocks.content, blocks.tool_calls)
    assert ask.invoke(model, "?").content == "c"


def test_an_agent_runs_by_a_script(driver: Any) -> None:
    model = ScriptedModel(
        tool_call("double", {"number": 21}), lambda call: f"It is {call.text}, I think."
    )

    tokens = driver.stream(agent(model), {"messages": "Double 21"}, stream_mode="messages")

    texts = [message.text for message, place in tokens if place["langgraph_node"] == "speak"]
    assert [text for text in texts if text] == ["It", " is", " 42,", " I", " think."]
    assert [call.text for call in model.calls] == ["Double 21", "42"]
    assert [message.type for message in model.calls[1].messages] == ["human", "ai", "tool"]
    model.assert_done()


def test_structured_output_is_the_call_of_a_tool(ask: Any) -> None:
    class Answer(BaseModel):
        """An answer."""

        number: int

    model = ScriptedModel(tool_call("Answer", {"number": 42}))

    assert ask.invoke(model.with_structured_output(Answer), "?") == Answer(number=42)
    assert model.calls[0].tools == ("Answer",)


def test_an_error_comes_with_its_call_after_what_was_said(ask: Any) -> None:
    model = ScriptedModel("fine", TimeoutError, ["half", ConnectionError("cut")], "fine again")

    assert ask.invoke(model, "?").text == "fine"
    with pytest.raises(TimeoutError):
        ask.invoke(model, "?")
    with pytest.raises(ConnectionError, match="cut"):
        ask.stream(model, "?")
    assert ask.invoke(model, "?").text == "fine again"


def test_pauses_are_by_the_clock(ask: Any) -> None:
    model = ScriptedModel([Pause(2), "late", Pause(3), "r"], [Pause(60)])

    with fake_clock() as clock:
        began = clock.seconds
        assert ask.stream(model, "?") == ["late", "r"]
        assert ask.invoke(model, "?").text == ""

    assert clock.slept == [2, 3, 60]
    assert clock.seconds == pytest.approx(began + 65)


def test_models_pause_side_by_side_in_an_event_loop() -> None:
    async def both() -> None:
        model = ScriptedModel([Pause(10), "a"], [Pause(30), "b"])
        await asyncio.gather(model.ainvoke("?"), model.ainvoke("?"))

    with fake_clock() as clock:
        began = clock.seconds
        asyncio.run(both())

    assert clock.seconds == pytest.approx(began + 30)


def test_a_call_tells_what_it_was_given(ask: Any) -> None:
    model = ScriptedModel("a", "b")
    bound = model.bind_tools([double], tool_choice="double")

    ask.invoke(bound, [HumanMessage("Hi")])
    ask.invoke(model.bind(stop=["\n"]), "Ho")

    first, second = model.calls
    assert (first.text, first.tools, first.options["tool_choice"]) == ("Hi", ("double",), "double")
    assert (second.text, second.tools, second.options) == ("Ho", (), {"stop": ["\n"]})
    assert ModelCall(()).text == ""


def test_a_call_too_many_and_one_too_few_are_told_of() -> None:
    model = ScriptedModel("one", "two")

    model.invoke("?")
    with pytest.raises(AssertionError, match=r"2 turns, and it was called 1 times.*'two'"):
        model.assert_done()
    model.invoke("?")
    model.assert_done()
    with pytest.raises(AssertionError, match=r"called 3 times, .* 2 turns; it was asked 'more'"):
        model.invoke("more")


def test_what_is_no_turn_is_told_of() -> None:
    with pytest.raises(TypeError, match="cannot say 42: a turn is a text"):
        ScriptedModel(42).invoke("?")  # type: ignore[arg-type]


def test_the_example_of_its_docstring_is_right() -> None:
    text = ScriptedModel.__doc__ or ""
    example = doctest.DocTestParser().get_doctest(text, {}, "ScriptedModel", None, None)

    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
