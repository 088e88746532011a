"""What graphs say as chat completions, as the types of OpenAI's client have them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from millstream.graph import START, StateGraph
from millstream.protocols import openai
from protocols import scripted

HI = {"messages": "hi"}
AT = {"configurable": {"thread_id": "1"}}


def chunks_of(graph: Any, input: Any = HI, config: Any = None, **options: Any) -> list[Any]:
    """Return the chunks of a run, and at last the whole completion."""
    encoder = openai.ChatEncoder("mill", **options)
    text = "".join(openai.stream_chat(graph, input, config, encoder=encoder))
    *lines, end = text.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    told = [json.loads(line.removeprefix("data: ")) for line in lines]
    return [*told, encoder.result()]


def said(graph: Any, input: Any = HI, config: Any = None) -> tuple[str, ChatCompletion]:
    """Return the text of the chunks of a run, and the whole completion, both checked."""
    *told, result = chunks_of(graph, input, config)
    chunks = [ChatCompletionChunk.model_validate(each, strict=True) for each in told]
    completion = ChatCompletion.model_validate(result, strict=True)
    text = "".join(each.choices[0].delta.content or "" for each in chunks)
    assert text == (completion.choices[0].message.content or "")
    assert chunks[-1].choices[0].finish_reason == completion.choices[0].finish_reason
    return text, completion


def test_an_agent_is_a_model_that_says_everything_itself() -> None:
    text, completion = said(scripted.make_agent())

    assert text.startswith("I weigh them.\n\nA hundred kilos.")
    assert f"![image/png](data:image/png;base64,{scripted.PIXEL})" in text
    message = completion.choices[0].message
    assert message.tool_calls is None
    assert completion.choices[0].finish_reason == "stop"
    assert message.model_extra == {"reasoning_content": "Sacks have weight."}
    assert completion.usage is not None
    assert completion.usage.total_tokens == 24


def test_the_tokens_are_in_a_last_chunk_for_who_wants_them() -> None:
    *told, _ = chunks_of(scripted.make_agent(), has_usage=True)

    assert told[-1]["choices"] == []
    assert told[-1]["usage"]["total_tokens"] == 24
    assert [each["usage"] for each in told[:-1]] == [None] * (len(told) - 1)


def test_of_models_that_speak_together_one_waits_for_the_other() -> None:
    text, _ = said(scripted.make_chorus())

    assert sorted(text.split("\n\n")) == ["left turns.", "right turns."]


def test_calls_that_nobody_has_answered_are_the_clients() -> None:
    def call(state: scripted.State) -> dict[str, Any]:
        made = {"name": "locate", "args": {"mill": "wind"}, "id": "c1", "type": "tool_call"}
        return {"messages": [AIMessage("Where?", tool_calls=[made])]}

    graph = StateGraph(scripted.State).add_node(call).add_edge(START, "call").compile()
    text, completion = said(graph)

    assert text == "Where?"
    assert completion.choices[0].finish_reason == "tool_calls"
    (made,) = completion.choices[0].message.tool_calls or ()
    assert made.type == "function"
    assert (made.id, made.function.name) == ("c1", "locate")
    assert json.loads(made.function.arguments) == {"mill": "wind"}


def test_a_question_is_a_call_and_its_answer_goes_on() -> None:
    graph = scripted.make_asking()
    _, asked = said(graph, HI, AT)
    (call,) = asked.choices[0].message.tool_calls or ()
    assert call.type == "function"
    messages = [
        {"role": "user", "content": "hi"},
        asked.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": '"yes"'},
    ]
    request = openai.read_chat({"model": "mill", "messages": messages})

    assert call.function.name == "interrupt"
    assert json.loads(call.function.arguments) == {"question": "Shall the mill turn?"}
    assert said(graph, request.input, AT)[0] == "You said yes."


def test_calls_of_what_is_no_tool_of_the_client_are_not_its_own() -> None:
    for tools, calls, reason in (
        ([{"type": "function", "function": {"name": "locate"}}, {}], ["locate"], "tool_calls"),
        ([], [], "stop"),
    ):
        body = {"model": "mill", "messages": [{"role": "user"}], "tools": tools}
        encoder = openai.ChatEncoder.of(openai.read_chat(body))
        list(openai.stream_chat(scripted.make_routing(), HI, encoder=encoder))
        (choice,) = encoder.result()["choices"]

        assert [call["id"] for call in choice["message"].get("tool_calls", ())] == calls
        assert choice["finish_reason"] == reason


def test_a_call_that_a_model_has_not_finished_is_nobodys() -> None:
    text, completion = said(scripted.make_cut())

    assert text == "It turns."
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].finish_reason == "stop"


def test_an_error_is_one_that_clients_raise() -> None:
    *told, result = chunks_of(scripted.make_failing())

    assert told[-1] == result
    assert result["error"]["message"] == "ValueError: the wheel is stuck"


def test_a_conversation_is_read_whole_or_from_where_a_thread_is() -> None:
    messages = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "refusal": None},
        {"role": "user", "content": [{"type": "text", "text": "again"}]},
    ]
    asked = openai.read_chat(
        {"model": "mill", "messages": messages, "metadata": {"thread_id": "t"}, "stream": True}
    )

    assert asked.thread_id == "t"
    assert asked.is_streamed
    assert asked.input == {"messages": [messages[-1]]}
    assert [one["role"] for one in asked.whole_input["messages"]] == [
        "developer", "user", "assistant", "user",
    ]  # fmt: skip
    assert asked.whole_input["messages"][2] == {"role": "assistant", "content": ""}


def test_an_answer_to_no_call_answers_no_question() -> None:
    question = {"id": "c", "type": "function", "function": {"name": "interrupt", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [question]},
        {"role": "tool", "tool_call_id": "other", "content": "yes"},
    ]

    assert openai.read_chat({"model": "mill", "messages": messages}).answers == {}
    messages[-1]["tool_call_id"] = {}
    with pytest.raises(ValueError, match="a message of the role 'tool' cannot be read"):
        openai.read_chat({"model": "mill", "messages": messages})


def test_a_question_that_is_a_text_is_answered_in_its_thread() -> None:
    function = {"name": "interrupt", "arguments": '"Shall the mill turn?"'}
    messages = [
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "yes"},
    ]
    body = {"model": "mill", "messages": messages, "metadata": {"thread_id": "t"}}

    assert openai.read_chat(body).answers == {"c": "yes"}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ([], "with a `model`"),
        ({"model": "mill"}, "`messages` must be a list"),
        ({"model": "mill", "messages": [{"role": "cook"}]}, "one of system, developer"),
        ({"model": "mill", "messages": [{"role": "user"}], "n": 2}, "there is one choice"),
        (
            {"model": "mill", "messages": [{"role": "user"}], "metadata": {"thread_id": 1}},
            "metadata.thread_id",
        ),
    ],
)
def test_what_is_no_request_is_refused(body: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        openai.read_chat(body)
