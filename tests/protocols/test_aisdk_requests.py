"""What pages with the AI SDK send, as the input of graphs."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.protocols import aisdk

ASKED = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "How heavy?"}]}
SAID = {
    "id": "a1",
    "role": "assistant",
    "parts": [
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm."},
        {"type": "text", "text": "I weigh them."},
        {
            "type": "tool-weigh",
            "toolCallId": "c1",
            "state": "output-available",
            "input": {"sacks": 2},
            "output": {"kilos": 100},
        },
        {"type": "step-start"},
        {"type": "text", "text": "A hundred."},
    ],
}
MORE = {
    "id": "u2",
    "role": "user",
    "parts": [
        {"type": "text", "text": "And this?"},
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
        {"type": "file", "mediaType": "text/csv", "url": "https://x/y.csv", "filename": "y.csv"},
    ],
}


def test_a_thread_is_given_what_it_does_not_have() -> None:
    asked = aisdk.read({"id": "chat", "messages": [ASKED, SAID, MORE], "trigger": "submit-message"})

    assert asked.chat_id == "chat"
    assert asked.message_id is None
    assert asked.input == {
        "messages": [
            {
                "role": "user",
                "id": "u2",
                "content": [
                    {"type": "text", "text": "And this?"},
                    {"type": "image", "mime_type": "image/png", "base64": "AAAA"},
                    {
                        "type": "file",
                        "mime_type": "text/csv",
                        "url": "https://x/y.csv",
                        "extras": {"filename": "y.csv"},
                    },
                ],
            }
        ]
    }


def test_a_graph_that_keeps_nothing_is_given_the_conversation() -> None:
    asked = aisdk.read({"messages": [ASKED, SAID]})

    assert asked.whole_input["messages"] == [
        {"role": "user", "content": "How heavy?", "id": "u1"},
        {
            "role": "assistant",
            "content": "I weigh them.",
            "tool_calls": [
                {"id": "c1", "name": "weigh", "args": {"sacks": 2}, "type": "tool_call"}
            ],
        },
        {
            "role": "tool",
            "id": "answer-c1",
            "tool_call_id": "c1",
            "name": "weigh",
            "content": '{"kilos": 100}',
            "status": "success",
        },
        {"role": "assistant", "content": "A hundred."},
    ]


@pytest.mark.parametrize("more", [{"trigger": "regenerate-message"}, {"messageId": "u1"}])
def test_what_was_answered_is_forgotten_when_it_is_asked_again(more: Any) -> None:
    assert aisdk.read({"messages": [ASKED], **more}).replaces == "u1"


def test_what_the_page_did_for_the_assistant_is_new() -> None:
    call = {
        "type": "dynamic-tool",
        "toolName": "locate",
        "toolCallId": "c2",
        "input": {},
        "state": "output-error",
        "errorText": "not allowed",
    }
    page = {
        "id": "a2",
        "role": "assistant",
        "parts": [*SAID["parts"], {"type": "step-start"}, call],
    }
    asked = aisdk.read({"messages": [ASKED, page]})

    assert asked.message_id == "a2"
    assert [one["tool_call_id"] for one in asked.new] == ["c2"]
    assert asked.new[0]["status"] == "error"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ([], "a JSON object, not list"),
        ({}, "`messages` must be a list"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "a list of `parts`"),
        ({"messages": [{"role": "tool", "parts": []}]}, "objects with `role`"),
        ({"messages": [], "resume": "yes"}, "`resume` must be an object"),
    ],
)
def test_what_is_no_request_is_refused(body: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        aisdk.read(body)
