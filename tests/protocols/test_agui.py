"""What graphs say as AG-UI events, as the protocol's own types have them."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from ag_ui.core import Event
from langchain_core.messages import AIMessage
from pydantic import TypeAdapter

from millstream.graph import START, StateGraph
from millstream.protocols import agui
from protocols import scripted
from protocols.judges import judge

HI = {"messages": "hi"}
AT = {"configurable": {"thread_id": "t"}}
EVENTS: Any = TypeAdapter(Event)


def lines_of(graph: Any, input: Any = HI, **options: Any) -> str:
    encoder = agui.Encoder("t", "r", **options)
    return "".join(agui.stream(graph, input, AT, encoder=encoder))


def said(graph: Any, input: Any = HI, **options: Any) -> list[dict[str, Any]]:
    """Return the events of a run, each checked."""
    events = checked(lines_of(graph, input, **options))
    assert events[0]["type"] == "RUN_STARTED"
    return events


def checked(lines: str) -> list[dict[str, Any]]:
    """Return the events of lines, which are those of the protocol, field by field."""
    events = [
        json.loads(line.removeprefix("data: ")) for line in lines.removesuffix("\n\n").split("\n\n")
    ]
    for event in events:
        known = EVENTS.validate_python(event)
        assert not known.model_extra, f"{known.model_extra} is in no {event['type']}"
    return events


def only(events: list[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] in types]


def test_an_agent_thinks_calls_tools_and_answers() -> None:
    events = said(scripted.make_agent())

    thought = [e["delta"] for e in only(events, "REASONING_MESSAGE_CONTENT")]
    assert thought == ["Sacks ", "have weight."]
    texts = [(e["messageId"], e["delta"]) for e in only(events, "TEXT_MESSAGE_CONTENT")]
    assert texts == [
        ("calls", "I weigh "),
        ("calls", "them."),
        ("answer", "A hundred "),
        ("answer", "kilos."),
    ]
    assert [e for e in events if e.get("toolCallId") == "call-1"] == [
        {
            "type": "TOOL_CALL_START",
            "toolCallId": "call-1",
            "toolCallName": "weigh",
            "parentMessageId": "calls",
        },
        {"type": "TOOL_CALL_ARGS", "toolCallId": "call-1", "delta": '{"sac'},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "call-1", "delta": 'ks": 2}'},
        {"type": "TOOL_CALL_END", "toolCallId": "call-1"},
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "call-1:result",
            "toolCallId": "call-1",
            "content": '{"kilos": 100}',
            "role": "tool",
        },
    ]
    (failed,) = (e for e in only(events, "TOOL_CALL_RESULT") if e["toolCallId"] == "call-2")
    assert failed["metadata"] == {"status": "error"}
    (file,) = only(events, "ACTIVITY_SNAPSHOT")
    assert file["content"]["mediaType"] == "image/png"
    assert [e["name"] for e in only(events, "CUSTOM")] == [
        "millstream.tool-output-delta",
        "millstream.source",
    ]
    end = events[-1]
    assert end["outcome"] == {"type": "success"}
    assert end["usage"][0]["totalTokens"] == 24


def test_nested_graphs_are_subagents() -> None:
    events = said(scripted.make_team())
    (began,) = only(events, "SUBAGENT_STARTED")
    (ended,) = only(events, "SUBAGENT_FINISHED")
    spoken = only(events, "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "REASONING_START")

    assert began["name"] == "miller"
    assert ended["subagentRunId"] == began["subagentRunId"]
    assert {event["subagentRunId"] for event in spoken} == {began["subagentRunId"]}
    assert only(events, "CUSTOM")[0]["value"] == {"progress": 1}
    assert [event["snapshot"] for event in only(events, "STATE_SNAPSHOT")] == [
        {}, {"topic": "sacks"},
    ]  # fmt: skip


def test_a_question_is_an_interrupt_and_its_answer_goes_on() -> None:
    graph = scripted.make_asking()
    outcome = said(graph)[-1]["outcome"]
    (asked,) = outcome["interrupts"]
    answer = {"interruptId": asked["id"], "status": "resolved", "payload": "yes"}
    body = {"threadId": "t", "runId": "r2", "messages": [], "resume": [answer]}
    answered = said(graph, agui.read(body).input)

    assert outcome["type"] == "interrupt"
    assert asked["metadata"] == {"value": {"question": "Shall the mill turn?"}}
    assert [e["delta"] for e in only(answered, "TEXT_MESSAGE_CONTENT")] == ["You said yes."]


def test_calls_are_approved_one_by_one() -> None:
    graph = scripted.make_reviewed()
    asked = said(graph)[-1]["outcome"]["interrupts"]
    resume = [
        {"interruptId": asked[0]["id"], "status": "resolved", "payload": {"approved": True}},
        {"interruptId": asked[1]["id"], "status": "cancelled"},
    ]
    calls = [
        {"id": f"call-{n}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for n, name in ((1, "weigh"), (2, "burn"))
    ]
    messages = [{"id": "calls", "role": "assistant", "toolCalls": calls}]
    request = agui.read({"threadId": "t", "runId": "r2", "messages": messages, "resume": resume})
    answered = said(graph, request.input, calls=request.calls)

    assert [one["toolCallId"] for one in asked] == ["call-1", "call-2"]
    results = {e["toolCallId"]: e["content"] for e in only(answered, "TOOL_CALL_RESULT")}
    assert results == {"call-1": '{"kilos": 100}', "call-2": "no"}
    assert only(answered, "TOOL_CALL_START") == []


def test_calls_that_nobody_has_answered_are_the_clients() -> None:
    def call(state: scripted.State) -> dict[str, Any]:
        made = {"name": "locate", "args": {}, "id": "c1", "type": "tool_call"}
        return {"messages": [AIMessage("", tool_calls=[made])]}

    graph = StateGraph(scripted.State).add_node(call).add_edge(START, "call").compile()

    assert said(graph)[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["c1"]}


def test_a_call_that_a_model_has_not_finished_ends_and_waits_for_nobody() -> None:
    events = said(scripted.make_cut())

    assert [event["type"] for event in events if event.get("toolCallId") == "call-1"] == [
        "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END",
    ]  # fmt: skip
    assert events[-1]["outcome"] == {"type": "success"}


def test_what_run_streams_decide_cannot_be_said() -> None:
    with pytest.raises(TypeError, match="do not accept stream_mode"):
        next(agui.stream(scripted.make_agent(), HI, stream_mode="values"))


def test_how_a_run_ends_is_told() -> None:
    encoder = agui.Encoder("t", "r")

    assert said(scripted.make_failing())[-1] == {
        "type": "RUN_ERROR", "message": "ValueError: the wheel is stuck", "code": "ValueError",
    }  # fmt: skip
    assert json.loads(encoder.end(is_cancelled=True)[6:])["outcome"] == {"type": "cancelled"}


def test_a_conversation_is_read_whole_or_from_where_a_thread_is() -> None:
    image = {"type": "image", "source": {"type": "data", "value": "AAAA", "mimeType": "image/png"}}
    messages = [
        {"id": "u1", "role": "user", "content": "hi"},
        {"id": "a1", "role": "reasoning", "content": "Hm."},
        {"id": "a2", "role": "assistant", "content": "Hello."},
        {"id": "x1", "role": "activity", "activityType": "file", "content": {}},
        {"id": "u2", "role": "user", "content": [{"type": "text", "text": "See:"}, image]},
    ]
    tool = {"name": "locate", "description": "Find it.", "parameters": {"type": "object"}}
    asked = agui.read({"threadId": "t", "runId": "r", "messages": messages, "tools": [tool]})

    assert [one["id"] for one in asked.whole_input["messages"]] == ["u1", "a2", "u2"]
    assert asked.input == {
        "messages": [
            {
                "role": "user",
                "id": "u2",
                "content": [
                    {"type": "text", "text": "See:"},
                    {"type": "image", "mime_type": "image/png", "base64": "AAAA"},
                ],
            }
        ]
    }
    assert asked.tools == [{"type": "function", "function": tool}]


def test_ids_that_are_no_texts_are_read_as_what_they_are() -> None:
    call = {"id": [], "function": {"name": "locate"}}
    messages = [
        {"id": "a1", "role": "assistant", "toolCalls": [call]},
        {"id": "t1", "role": "tool", "toolCallId": {}, "content": "there"},
    ]
    asked = agui.read({"threadId": "t", "runId": "r", "messages": messages})

    assert asked.calls == {"[]": "locate"}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ([], "a JSON object, not list"),
        ({"runId": "r"}, "`threadId` must be a text"),
        ({"threadId": "t", "runId": "r"}, "`messages` must be a list"),
        (
            {"threadId": "t", "runId": "r", "messages": [], "resume": [{"interruptId": "i"}]},
            "`resume` must be a list",
        ),
    ],
)
def test_what_is_no_request_is_refused(body: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        agui.read(body)


@pytest.mark.long
@pytest.mark.real_time(reason="another process takes its time")
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_the_client_finds_nothing_wrong_with_what_graphs_say() -> None:
    names = ("team", "failing", "stumbling", "chorus", "asking", "reviewed", "cut")
    graphs = [getattr(scripted, f"make_{name}")() for name in names]
    told = judge("agui.mjs", given=[{"lines": lines_of(graph)} for graph in graphs])
    team, failing, _, chorus, asking, reviewed, _ = told

    assert [one["wrong"] for one in told] == [[]] * len(names)
    assert failing["error"] == "ValueError: the wheel is stuck"
    roles = [message["role"] for message in team["messages"]]
    assert roles == ["reasoning", "assistant", "tool", "tool", "assistant", "activity"]
    assert team["messages"][1]["content"] == "I weigh them."
    assert [call["function"]["name"] for call in team["messages"][1]["toolCalls"]] == [
        "weigh", "burn",
    ]  # fmt: skip
    assert team["state"] == {"topic": "sacks"}
    assert len(chorus["messages"]) == 2
    assert [one["reason"] for one in asking["interrupts"]] == ["input_required"]
    assert [one["reason"] for one in reviewed["interrupts"]] == ["tool_call"] * 2
