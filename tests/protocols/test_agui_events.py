"""Every event of AG-UI: which of our runs tells it, or why none does."""

from __future__ import annotations

import shutil
from typing import Any, Final

import pytest
from ag_ui.core import EventType
from langchain_core.messages import AIMessage

from millstream.protocols import agui
from millstream.protocols.agui_held import HeldMessages
from protocols import scripted
from protocols.documented import never, rows
from protocols.judges import judge
from protocols.test_agui import HI, checked, lines_of, only, said

GRAPHS: Final = (
    "team", "planning", "showing", "forgetful", "photographing", "milling", "relapsing", "failing",
    "delegating",
)  # fmt: skip
"""Graphs whose runs together tell all that is ever told."""
HUMAN: Final = {"type": "human", "content": "hi", "id": "u1"}


def test_every_event_of_the_protocol_is_told_by_a_run_or_never() -> None:
    table = rows("Every event")
    told = {event["type"] for name in GRAPHS for event in said(getattr(scripted, f"make_{name}")())}

    assert list(table) == [each.value for each in EventType]
    assert told == table.keys() - never(table)


def test_a_state_is_told_whole_and_then_what_has_changed() -> None:
    events = only(said(scripted.make_planning()), "STATE_SNAPSHOT", "STATE_DELTA")

    assert [event["type"] for event in events] == [
        "STATE_SNAPSHOT",
        "STATE_SNAPSHOT",
        "STATE_DELTA",
    ]
    assert events[-1]["delta"] == [
        {"op": "replace", "path": "/plan/0/is_done", "value": True},
        {"op": "add", "path": "/plan/-", "value": {"task": "sweep", "is_done": False}},
    ]


def test_keys_of_a_state_are_what_json_has_of_them() -> None:
    class Nameless:
        def __str__(self) -> str:
            raise ValueError("no name")

    encoder = agui.Encoder("t", "r")
    (told,) = encoder.events(values({1: "a", Nameless(): "b"}))

    assert [*told["snapshot"].values()] == ["a", "b"]
    assert next(iter(told["snapshot"])) == "1"


def test_what_a_client_refuses_to_patch_is_told_whole() -> None:
    encoder = agui.Encoder("t", "r")
    long = "x" * 100
    states = [{"a": {}, "long": long}, {"a": {"__proto__": 1}, "long": long}]
    events = [event for state in states for event in encoder.events(values(state))]

    assert [event["type"] for event in events] == ["STATE_SNAPSHOT", "STATE_SNAPSHOT"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([1], {"a": 1}, ["STATE_SNAPSHOT"]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, []),
        ({"a": 1, "b": "x" * 100}, {"a": True, "b": "x" * 100}, ["STATE_DELTA"]),
        ({"a": 2**70, "b": "x" * 100}, {"a": 2**71, "b": "x" * 100}, ["STATE_DELTA"]),
        ({"a": 1, "messages": []}, {"a": 1, "messages": ["said"]}, []),
    ],
)
def test_only_what_differs_in_json_is_told(before: Any, after: Any, told: list[str]) -> None:
    encoder = agui.Encoder("t", "r")
    list(encoder.events(values(before)))

    assert [event["type"] for event in encoder.events(values(after))] == told


def values(state: Any) -> Any:
    return {"method": "values", "params": {"namespace": [], "timestamp": 0, "data": state}}


def test_nodes_are_steps_and_tasks_of_one_that_run_together_are_one() -> None:
    events = only(said(scripted.make_milling()), "STEP_STARTED", "STEP_FINISHED")

    assert events == [
        {"type": "STEP_STARTED", "stepName": "grind"},
        {"type": "STEP_FINISHED", "stepName": "grind"},
    ]


def test_a_nested_graph_that_is_tried_again_is_another_subagent() -> None:
    events = said(scripted.make_relapsing())
    ids = [event["subagentRunId"] for event in only(events, "SUBAGENT_STARTED")]

    assert len(set(ids)) == 2
    assert [e["type"] for e in only(events, "SUBAGENT_ERROR", "SUBAGENT_FINISHED")] == [
        "SUBAGENT_ERROR", "SUBAGENT_FINISHED",
    ]  # fmt: skip


def test_an_agent_that_a_tool_runs_is_a_subagent_of_its_call() -> None:
    events = said(scripted.make_delegating())
    (began,) = only(events, "SUBAGENT_STARTED")
    (text,) = only(events, "TEXT_MESSAGE_CONTENT")

    assert (began["name"], began["parentToolCallId"]) == ("miller", "call-1")
    assert text["subagentRunId"] == began["subagentRunId"]


def test_a_graph_that_begins_again_under_its_name_has_another_id() -> None:
    encoder = agui.Encoder("t", "r")
    events = [
        event
        for status in ("started", "failed", "started", "started", "completed")
        for event in encoder.events(life(status))
    ]

    assert [(event["type"], event["subagentRunId"]) for event in events] == [
        ("SUBAGENT_STARTED", "mill:1"),
        ("SUBAGENT_ERROR", "mill:1"),
        ("SUBAGENT_STARTED", "mill:1#1"),
        ("SUBAGENT_FINISHED", "mill:1#1"),
    ]


def test_a_run_that_begins_again_goes_on_with_its_graphs_and_steps() -> None:
    encoder = agui.Encoder("t", "r")
    step = {"event": "started", "id": "1", "name": "grind", "namespace": ["mill:1"]}
    lines = encoder.begin() + encoder.encode(life("started")) + encoder.encode(steps(step))
    lines += encoder.restart() + encoder.encode(life("started")) + encoder.encode(steps(step))
    lines += encoder.encode(life("completed")) + encoder.end()

    assert [event["type"] for event in checked(lines)] == [
        "RUN_STARTED", "SUBAGENT_STARTED", "STEP_STARTED", "STEP_FINISHED", "SUBAGENT_FINISHED",
        "RUN_FINISHED",
    ]  # fmt: skip


def steps(told: Any) -> Any:
    return {"method": "steps", "params": {"namespace": [], "timestamp": 0, "data": told}}


def life(status: str) -> Any:
    data = {"event": status, "namespace": ["mill:1"], "graph_name": "mill"}
    return {"method": "lifecycle", "params": {"namespace": [], "timestamp": 0, "data": data}}


def test_nodes_can_write_activities_and_events_of_their_provider() -> None:
    events = said(scripted.make_showing())
    written = only(events, "ACTIVITY_SNAPSHOT", "ACTIVITY_DELTA", "RAW", "CUSTOM")
    (began,) = only(events, "SUBAGENT_STARTED")

    # Changes of an activity that there is not, and such as are no patch, are what they are.
    assert [event.get("name", event["type"]) for event in written] == [
        "ACTIVITY_SNAPSHOT", "ACTIVITY_DELTA", "millstream.custom", "millstream.custom", "RAW",
        "org.example.mill", "millstream.custom",
    ]  # fmt: skip
    assert written[0]["subagentRunId"] == written[4]["subagentRunId"] == began["subagentRunId"]


def test_messages_that_are_gone_from_the_state_are_gone_for_the_client() -> None:
    (told,) = only(said(scripted.make_forgetful()), "MESSAGES_SNAPSHOT")

    assert told["messages"] == [{"id": "said", "role": "assistant", "content": "It turns."}]


def test_what_a_nested_graph_keeps_for_itself_stays_when_messages_go() -> None:
    events = said(scripted.make_consulting(), {"messages": [HUMAN]})
    (told,) = only(events, "MESSAGES_SNAPSHOT")
    (began,) = only(events, "SUBAGENT_STARTED")

    said_by_root, *nested = told["messages"]
    assert said_by_root == {"id": "said", "role": "assistant", "content": "It turns."}
    assert [(one["id"], one["role"]) for one in nested] == [
        ("calls:0", "reasoning"), ("calls", "assistant"), ("call-1:result", "tool"),
        ("call-2:result", "tool"), ("answer", "assistant"), ("answer:file-0", "activity"),
    ]  # fmt: skip
    assert {one["subagentRunId"] for one in nested} == {began["subagentRunId"]}
    assert nested[0]["content"] == "Sacks have weight."
    assert [call["function"]["arguments"] for call in nested[1]["toolCalls"]] == [
        '{"sacks": 2}', "{}",
    ]  # fmt: skip


def test_what_nested_graphs_have_said_in_earlier_runs_stays_too() -> None:
    owner = {"subagentRunId": "miller:1"}
    held = {"id": "m1", "role": "assistant", "content": "Heavy.", **owner}
    of_state = {"id": "a1", "role": "assistant", "content": "It stands.", **owner}
    wrong = [
        {**held, "id": "m2", "toolCalls": [None]},
        {**held, "id": "m3", "toolCalls": 5},
        {**held, "id": "m4", "subagentRunId": None},
    ]
    messages = [of_state, held, *wrong, {"id": "u2", "role": "user", "content": "again"}]
    encoder = agui.Encoder.of(agui.read({"threadId": "t", "runId": "r", "messages": messages}))
    kept = [{"type": "human", "content": "again", "id": "u2"}]
    before = [{"type": "ai", "content": "It stands.", "id": "a1"}, *kept]
    events = [e for each in (before, kept) for e in encoder.events(values({"messages": each}))]

    assert [event["type"] for event in events] == ["STATE_SNAPSHOT", "MESSAGES_SNAPSHOT"]
    assert [one["id"] for one in events[1]["messages"]] == ["m1", "u2"]
    assert events[1]["messages"][0] == held


def test_a_tool_result_without_its_call_is_not_told_again() -> None:
    call = {"name": "weigh", "args": {}, "id": "c1", "type": "tool_call"}
    held = HeldMessages()
    held.follow({"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "weigh",
                 "parentMessageId": "a1"})  # fmt: skip
    held.know([AIMessage("", id="a1", tool_calls=[call])])
    held.follow({"type": "TOOL_CALL_RESULT", "messageId": "c1:result", "toolCallId": "c1",
                 "content": "heavy", "role": "tool"})  # fmt: skip

    assert held.beside([]) == []


def test_a_tool_that_returns_a_picture_answers_with_parts() -> None:
    (result,) = only(said(scripted.make_photographing()), "TOOL_CALL_RESULT")
    source = {"type": "data", "value": scripted.PIXEL, "mimeType": "image/png"}

    assert result["content"] == [
        {"type": "text", "text": "The mill:"},
        {"type": "image", "source": source},
    ]


def test_tokens_that_nobody_has_counted_are_not_told_as_none() -> None:
    (usage,) = said(scripted.make_agent())[-1]["usage"]

    assert {name: usage[name] for name in usage if name.endswith("Tokens")} == {
        "inputTokens": 14, "outputTokens": 10, "totalTokens": 24,
    }  # fmt: skip


def test_a_client_that_has_nothing_is_told_all_of_a_thread_first() -> None:
    known = final(scripted.make_team())
    encoder = agui.Encoder("t", "r", parent_run_id="p", known=known)
    encoder.ask([{"id": "q1", "value": "Shall the mill turn?"}])
    events = checked(encoder.begin() + encoder.end())
    streamed = said(scripted.make_team())

    assert [event["type"] for event in events] == [
        "RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT", "RUN_FINISHED",
    ]  # fmt: skip
    assert events[0]["parentRunId"] == "p"
    messages = events[1]["messages"]
    assert [one["role"] for one in messages] == [
        "user", "reasoning", "assistant", "tool", "tool", "assistant", "activity",
    ]  # fmt: skip
    # By their ids they are those that are told in a run.
    ids = {event["messageId"] for event in streamed if "messageId" in event}
    assert ids == {one["id"] for one in messages[1:]}
    assert events[2]["snapshot"] == {"topic": "sacks"}
    assert events[-1]["outcome"]["interrupts"][0]["message"] == "Shall the mill turn?"


def test_a_call_of_the_thread_is_answered_for_a_client_that_comes_back() -> None:
    call = {"name": "weigh", "args": {"sacks": 2}, "id": "call-1", "type": "tool_call"}
    encoder = agui.Encoder("t", "r", known={"messages": [AIMessage("", tool_calls=[call])]})
    begun = checked(encoder.begin())
    answer = {"type": "tool", "tool_call_id": "call-1", "content": "heavy"}
    update = {"namespace": [], "timestamp": 0, "data": {"tools": {"messages": [answer]}}}
    told = checked(encoder.encode({"method": "updates", "params": update}) + encoder.end())  # type: ignore[typeddict-item]

    assert begun[1]["messages"][0]["toolCalls"][0]["id"] == "call-1"
    assert [event["type"] for event in told] == ["TOOL_CALL_RESULT", "RUN_FINISHED"]
    assert told[-1]["outcome"] == {"type": "success"}


def test_messages_without_ids_are_not_missed() -> None:
    encoder = agui.Encoder("t", "r")
    said = [{"type": "human", "content": text} for text in ("hi", "again")]
    states = [{"messages": said}, {"messages": said[1:]}, {"messages": "hi"}]
    events = [event for state in states for event in encoder.events(values(state))]

    assert [event["type"] for event in events] == ["STATE_SNAPSHOT"]


def test_answers_of_tools_that_a_run_has_told_are_not_new() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weigh", "arguments": "{}"}}
    messages = [
        {"id": "a1", "role": "assistant", "toolCalls": [call]},
        {"id": "c1:result", "role": "tool", "toolCallId": "c1", "content": "heavy"},
        {"id": "u1", "role": "user", "content": "again"},
    ]
    asked = agui.read({"threadId": "t", "runId": "r", "parentRunId": 1, "messages": messages})

    assert [one["id"] for one in asked.input["messages"]] == ["u1"]
    assert asked.parent_run_id is None


@pytest.mark.long
@pytest.mark.real_time(reason="another process takes its time")
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_the_client_follows_every_event() -> None:
    given = [{"lines": lines_of(getattr(scripted, f"make_{name}")())} for name in GRAPHS]
    known = final(scripted.make_team())
    encoder = agui.Encoder("t", "r", known=known)
    given.append({"lines": encoder.begin() + encoder.end()})
    told = dict(zip((*GRAPHS, "known"), judge("agui.mjs", given=given), strict=True))

    assert {name: one["wrong"] for name, one in told.items()} == {name: [] for name in told}
    planned = final(scripted.make_planning())
    assert told["planning"]["state"] == {"plan": planned["plan"], "notes": planned["notes"]}
    assert told["forgetful"]["messages"] == [
        {"id": "said", "role": "assistant", "content": "It turns."}
    ]
    (activity,) = told["showing"]["messages"]
    forgetful, whole = judge("agui.mjs", given=[
        {"lines": lines_of(scripted.make_consulting(is_forgetful=each), {"messages": [HUMAN]}),
         "messages": [{"id": "u1", "role": "user", "content": "hi"}]} for each in (True, False)
    ])  # fmt: skip
    assert shown(forgetful["messages"]) == shown(whole["messages"][1:])
    assert len(forgetful["messages"]) == 8
    assert activity["content"] == {"sacks": 1}
    assert told["known"]["state"] == {"topic": "sacks"}
    assert [one["role"] for one in told["known"]["messages"]][:3] == [
        "user", "reasoning", "assistant",
    ]  # fmt: skip
    assert told["planning"]["types"] == [each.value for each in EventType]


def shown(messages: Any) -> Any:
    return [{key: one[key] for key in one if key != "subagentRunId"} for one in messages]


def final(graph: Any) -> Any:
    """Return the state that a graph comes to."""
    with graph.stream_events(HI, version="v3") as run:
        return run.output
