"""What a thread has, as the messages with which a page begins."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage

from millstream.protocols import aisdk
from millstream.protocols.aisdk_messages import said_again

CALLS = [
    {"name": name, "args": {"sacks": n}, "id": f"c{n}", "type": "tool_call"}
    for n, name in enumerate(("weigh", "burn", "grind"))
]
SAID = [
    HumanMessage("How heavy?", id="u1"),
    AIMessage(
        [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "I weigh them."}],
        id="a1",
        tool_calls=CALLS,
    ),
    ToolMessage('{"kilos": 100}', tool_call_id="c0"),
    ToolMessage("on fire", tool_call_id="c1", status="error"),
    AIMessage("A hundred.", id="a2"),
    HumanMessage([{"type": "image", "url": "https://x/y.png", "mime_type": "image/png"}], id="u2"),
]


def test_what_models_say_between_two_messages_is_one_of_the_assistant() -> None:
    found = aisdk.ui_messages(SAID)

    assert [(one["id"], one["role"]) for one in found] == [
        ("u1", "user"), ("a1", "assistant"), ("u2", "user"),
    ]  # fmt: skip
    assert found[1]["parts"] == [
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm.", "state": "done"},
        {"type": "text", "text": "I weigh them.", "state": "done"},
        {
            "type": "tool-weigh",
            "toolCallId": "c0",
            "state": "output-available",
            "input": {"sacks": 0},
            "output": {"kilos": 100},
        },
        {
            "type": "tool-burn",
            "toolCallId": "c1",
            "state": "output-error",
            "input": {"sacks": 1},
            "errorText": "on fire",
        },
        {
            "type": "tool-grind",
            "toolCallId": "c2",
            "state": "input-available",
            "input": {"sacks": 2},
        },
        {"type": "step-start"},
        {"type": "text", "text": "A hundred.", "state": "done"},
    ]
    assert found[2]["parts"] == [
        {"type": "file", "mediaType": "image/png", "url": "https://x/y.png"}
    ]


def test_json_is_as_good_as_messages_and_what_is_none_is_passed_by() -> None:
    as_json = [message.model_dump() for message in SAID]

    assert aisdk.ui_messages([*as_json, {"type": "x"}, 1, RemoveMessage(id="u1")]) == (
        aisdk.ui_messages(SAID)
    )


def test_questions_are_parts_of_the_last_message() -> None:
    question: Any = {
        "id": "q",
        "value": {"action_requests": [{"name": "grind", "args": {"sacks": 2}}]},
    }
    message = aisdk.ui_messages(SAID[:5], [question])[-1]

    assert message["parts"][5]["state"] == "approval-requested"
    assert message["parts"][5]["approval"] == {"id": "q:0"}
    assert message["parts"][-1] == {"type": "data-interrupt", "id": "q", "data": question}
    assert aisdk.ui_messages([], [question])[0]["role"] == "assistant"


def test_a_message_is_said_again_as_it_was_said() -> None:
    call = {"toolCallId": "1", "input": {"sacks": 2}}
    parts = [
        {"type": "step-start"},
        {"type": "text", "text": "I look.", "state": "done"},
        {"type": "tool-weigh", "state": "output-available", **call, "output": {"kilos": 100}},
        {"type": "step-start"},
        {"type": "tool-burn", "state": "output-error", **call, "errorText": "no"},
        {"type": "tool-grind", "state": "input-available", **call},
        {"type": "data-interrupt", "id": "q", "data": {"id": "q", "value": "?"}},
    ]

    said = list(said_again(parts))

    assert [part["type"] for part in said] == [
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "tool-input-available",
        "tool-output-available",
        "finish-step",
        "start-step",
        "tool-input-available",
        "tool-output-error",
        "tool-input-available",
        "data-interrupt",
        "finish-step",
    ]
    assert said[4] == {"type": "tool-input-available", "toolName": "weigh", **call}
