"""Requests of front ends of which something is wrong: right ones, with odd values in odd places."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any, Final

JUNK: Final = (
    None, True, 0, -1, 2**70, 0.5, "", "text", "\0", "\ud800", "é" * 400, [], {}, [None], [[]],
    [{}], {"": None}, {"type": "text"}, {"type": "text", "text": 5}, {"type": []}, {"role": "user"},
    {"id": {}, "role": []}, {"toString": 1}, "__proto__", "interrupt_", ":0", "q:99999999999999",
    {"type": "image", "source": 5}, {"type": "image", "source": {"type": {}, "value": []}},
    {"type": "remove", "id": "__remove_all__"}, {"__interrupt__": []}, {"lc": 1, "type": "x"},
)  # fmt: skip
CALL: Final = {"id": "call-1", "type": "function", "function": {"name": "weigh", "arguments": "{}"}}
IMAGE: Final = {"type": "data", "value": "iVBORw0KGgo=", "mimeType": "image/png"}
AGENT: Final = {
    "threadId": "t",
    "runId": "r",
    "parentRunId": "p",
    "protocolVersion": "1.0",
    "state": {"topic": "sacks"},
    "messages": [
        {"id": "s", "role": "system", "content": "Mill."},
        {"id": "a1", "role": "assistant", "content": "I weigh.", "toolCalls": [CALL]},
        {"id": "r1", "role": "reasoning", "content": "Hm."},
        {"id": "x1", "role": "activity", "activityType": "file", "content": {}},
        {"id": "call-1:result", "role": "tool", "toolCallId": "call-1", "content": "heavy"},
        {"id": "t2", "role": "tool", "toolCallId": "call-2", "content": "", "error": "lost"},
        {
            "id": "u1",
            "role": "user",
            "content": [{"type": "text", "text": "See:"}, {"type": "image", "source": IMAGE}],
        },
    ],
    "tools": [{"name": "locate", "description": "Find it.", "parameters": {"type": "object"}}],
    "context": [{"description": "where", "value": "here"}],
    "forwardedProps": {"metadata": {"a": 1}, "config": {"tags": ["x"]}, "context": {}},
}
ANSWERING_AGENT: Final = {
    **AGENT,
    "resume": [
        {"interruptId": "q", "status": "resolved", "payload": {"approved": True}},
        {"interruptId": "q2:0", "status": "cancelled"},
        {"interruptId": "q2:1", "status": "resolved", "payload": {"type": "approve"}},
    ],
}
APPROVAL: Final = {"id": "q2:0", "approved": False, "reason": "no"}
PAGE: Final = {
    "id": "c",
    "trigger": "submit-message",
    "messageId": "a1",
    "version": 7,
    "messages": [
        {
            "id": "u1",
            "role": "user",
            "parts": [
                {"type": "text", "text": "hi"},
                {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,iVBORw0="},
            ],
        },
        {
            "id": "a1",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "text", "text": "I weigh."},
                {
                    "type": "tool-weigh",
                    "toolCallId": "call-1",
                    "state": "output-available",
                    "input": {},
                    "output": {"kilos": 1},
                },
                {
                    "type": "tool-burn",
                    "toolCallId": "call-2",
                    "state": "approval-responded",
                    "input": {},
                    "approval": APPROVAL,
                },
                {"type": "data-interrupt", "id": "q", "data": {"id": "q", "value": 1}},
            ],
        },
    ],
}
CHAT: Final = {
    "model": "chat",
    "stream": True,
    "metadata": {"thread_id": "t"},
    "tools": [{"type": "function", "function": {"name": "locate", "parameters": {}}}],
    "stream_options": {"include_usage": True},
    "messages": [
        {"role": "system", "content": "Mill."},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": "heavy"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iV0="}}],
        },
    ],
}
RESPONSE: Final = {
    "model": "chat",
    "stream": True,
    "conversation": {"id": "c"},
    "instructions": "Mill.",
    "metadata": {"a": "b"},
    "tools": [{"type": "function", "name": "locate", "parameters": {}}],
    "input": [
        {"role": "user", "content": "hi"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I weigh."}],
        },
        {"type": "function_call", "call_id": "call-1", "name": "locate", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call-1", "output": "here"},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "See:"}, {"type": "input_image"}],
        },
    ],
}
ANSWERING_RESPONSE: Final = {
    **RESPONSE,
    "input": [{"type": "function_call_output", "call_id": "interrupt_q", "output": "{}"}],
}


def spoiled(body: Any, seed: int) -> Any:
    """Return a request of which up to three values are other ones, or are missing."""
    choice = random.Random(seed)
    made = copy.deepcopy(body)
    for _ in range(choice.randint(1, 3)):
        places = list(_places(made))
        if places:
            inside, key = choice.choice(places)
            if choice.random() < 0.2:
                del inside[key]
            else:
                inside[key] = copy.deepcopy(choice.choice(JUNK))
    return made


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield everything in a value that can be another one, with what it is in."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, each in inner:
        yield value, key
        yield from _places(each)
