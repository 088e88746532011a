"""What graphs say as responses of OpenAI's API, as the types of its client have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, get_args

import pytest
from langchain_core.messages import AIMessage
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from millstream.graph import START, StateGraph
from millstream.protocols import openai
from protocols import scripted
from protocols.documented import never, rows

HI = {"messages": "hi"}
AT = {"configurable": {"thread_id": "1"}}
EVENTS: Any = TypeAdapter(ResponseStreamEvent)


def events_in(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream, each checked."""
    events = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    for event in events:
        known = EVENTS.validate_python(event, strict=True)
        # The types of the client in JavaScript have a name there.
        is_named = event["type"] == "response.function_call_arguments.done"
        assert list(unknown(known)) == (["name"] if is_named else [])
    return events


def unknown(value: Any) -> Iterator[str]:
    """Yield the fields of an object, and of those in it, that its type does not have."""
    if isinstance(value, BaseModel):
        yield from value.model_extra or ()
        for name in value.model_fields_set & type(value).model_fields.keys():
            yield from unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from unknown(each)


def said(
    graph: Any, input: Any = HI, config: Any = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the events of a run, and the whole response."""
    encoder = openai.ResponsesEncoder("mill")
    events = events_in("".join(openai.stream_response(graph, input, config, encoder=encoder)))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events, encoder.result()


def test_an_agent_is_a_model_whose_tools_are_its_own() -> None:
    events, result = said(scripted.make_agent())
    response = Response.model_validate(result)

    assert events[-1]["response"] == result
    items = [(item.type, item.status) for item in response.output]  # type: ignore[union-attr]
    assert items[:2] == [("reasoning", "completed"), ("message", "completed")]
    # Tools of one superstep run side by side.
    assert sorted(items[2:4]) == [("mcp_call", "completed"), ("mcp_call", "failed")]
    assert items[4:] == [("message", "completed"), ("image_generation_call", "completed")]
    assert response.output_text == "I weigh them.A hundred kilos."
    weighed = next(item for item in result["output"] if item.get("name") == "weigh")
    assert (weighed["name"], weighed["arguments"], weighed["output"]) == (
        "weigh", '{"sacks":2}', '{"kilos": 100}',
    )  # fmt: skip
    assert result["output"][5]["result"] == scripted.PIXEL
    (note,) = result["output"][4]["content"][0]["annotations"]
    assert note["url"] == "https://example.org/mill"
    assert response.usage is not None
    assert response.usage.total_tokens == 24


def test_every_event_of_the_api_is_told_by_a_run_or_never() -> None:
    table = rows("Every event of a response")
    unions = get_args(get_args(ResponseStreamEvent)[0])
    types = {get_args(each.model_fields["type"].annotation)[0] for each in unions}
    fitting = {type: [row for row in table if fnmatchcase(type, row)] for type in types}
    names = ("agent", "failing", "routing", "refusing", "short")
    graphs = [getattr(scripted, f"make_{name}")() for name in names]
    told = {event["type"] for graph in graphs for event in said(graph, HI, AT)[0]}

    assert {type: len(found) for type, found in fitting.items()} == dict.fromkeys(types, 1)
    assert {row for found in fitting.values() for row in found} == table.keys()
    assert told == {type for type, (row,) in fitting.items() if row not in never(table)}


def test_text_and_reasoning_come_in_pieces() -> None:
    events, _ = said(scripted.make_agent())
    pieces = [
        (event["type"].split(".")[1], event["delta"])
        for event in events
        if event["type"].endswith("_text.delta")
    ]

    assert pieces == [
        ("reasoning_text", "Sacks "),
        ("reasoning_text", "have weight."),
        ("output_text", "I weigh "),
        ("output_text", "them."),
        ("output_text", "A hundred "),
        ("output_text", "kilos."),
    ]


def test_items_of_models_that_speak_together_are_told_apart() -> None:
    _, result = said(scripted.make_chorus())
    texts = [item["content"][0]["text"] for item in result["output"]]

    assert sorted(texts) == ["left turns.", "right turns."]


def test_a_question_is_a_call_and_its_answer_goes_on() -> None:
    graph = scripted.make_asking()
    _, asked = said(graph, HI, AT)
    (call,) = asked["output"]
    answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "yes"}
    request = openai.read_response({"model": "mill", "input": [answer]})
    _, answered = said(graph, request.input, AT)

    assert (call["type"], call["name"]) == ("function_call", "interrupt")
    assert json.loads(call["arguments"]) == {"question": "Shall the mill turn?"}
    assert Response.model_validate(answered).output_text == "You said yes."


def test_calls_that_nobody_has_answered_are_the_clients() -> None:
    def call(state: scripted.State) -> dict[str, Any]:
        made = {"name": "locate", "args": {"mill": 1}, "id": "c1", "type": "tool_call"}
        return {"messages": [AIMessage("", tool_calls=[made])]}

    graph = StateGraph(scripted.State).add_node(call).add_edge(START, "call").compile()
    events, result = said(graph)

    assert [item["type"] for item in result["output"]] == ["function_call"]
    (done,) = (e for e in events if e["type"] == "response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == {"mill": 1}


def test_calls_of_what_is_no_tool_of_the_client_are_not_its_own() -> None:
    tools = [{"type": "function", "name": "locate"}]
    asked = openai.read_response({"model": "mill", "input": "hi", "tools": tools})
    encoder = openai.ResponsesEncoder.of(asked)
    list(openai.stream_response(scripted.make_routing(), HI, encoder=encoder))

    assert [item["name"] for item in encoder.result()["output"]] == ["locate"]


def test_a_failure_ends_the_response() -> None:
    events, result = said(scripted.make_failing())

    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["message"] == "ValueError: the wheel is stuck"
    assert result["error"]["message"] == "ValueError: the wheel is stuck"


def test_who_comes_back_gets_what_follows() -> None:
    def lines(after: int) -> list[dict[str, Any]]:
        encoder = openai.ResponsesEncoder("mill", response_id="r", created=1, after=after)
        return events_in(
            "".join(openai.stream_response(scripted.make_failing(), HI, encoder=encoder))
        )

    assert lines(2) == lines(-1)[3:]


def test_items_of_a_request_are_messages() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "See:"}, picture]},
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "locate", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "there"},
    ]
    tool = {"type": "function", "name": "locate", "parameters": {}, "strict": True}
    asked = openai.read_response(
        {"model": "mill", "input": items, "tools": [tool, {"type": "web_search"}], "store": False}
    )

    assert asked.input["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See:"},
                {"type": "image", "mime_type": "image/png", "base64": "AAAA"},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "locate", "arguments": "{}"},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "there"},
    ]
    assert [one["function"]["name"] for one in asked.tools] == ["locate"]
    assert not asked.is_kept


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "with a `model`"),
        ({"model": "mill", "tools": 5}, "`tools` must be a list"),
        ({"model": "mill", "input": [1]}, "a text, or a list of items"),
        ({"model": "mill", "input": "hi", "conversation": 1}, "`conversation` must be an id"),
        (
            {"model": "mill", "input": "hi", "conversation": "c", "previous_response_id": "r"},
            "exclude each other",
        ),
    ],
)
def test_what_is_no_request_is_refused(body: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        openai.read_response(body)
