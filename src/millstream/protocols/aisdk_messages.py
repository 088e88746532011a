"""The messages of a thread as those of a page with the AI SDK: what it begins with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from millstream.protocols.approvals import approval_id, calls_to_approve
from millstream.protocols.contents import (
    ROLES,
    as_data,
    as_message,
    attribute,
    blocks_of,
    file_of,
)

Part = dict[str, Any]


def ui_messages(messages: Iterable[Any], interrupts: Iterable[Any] = ()) -> list[dict[str, Any]]:
    """Return the messages of a state as UI messages, with which a page begins.

    What comes between two messages of the user is one of the assistant, each message of a model a
    step of it.

    Args:
        messages: Those of the state, as objects or as JSON.
        interrupts: The questions that the thread waits for, which are parts of the last message.
    """
    found: list[dict[str, Any]] = []
    calls: dict[str, Part] = {}
    for message in filter(None, map(as_message, messages)):
        if isinstance(message, ToolMessage):
            _answer(calls.get(message.tool_call_id), message)
        elif isinstance(message, AIMessage):
            parts = _assistant(found, message)
            parts.append({"type": "step-start"})
            parts.extend(_parts(message))
            for call in message.tool_calls:
                part = _call(call)
                calls[part["toolCallId"]] = part
                parts.append(part)
        else:
            parts = _parts(message)
            found.append({"id": message.id or "", "role": ROLES[message.type], "parts": parts})
    for question in interrupts:
        _ask(found, calls, question)
    return found


def _assistant(found: list[dict[str, Any]], message: BaseMessage) -> list[Part]:
    """Return the parts of the message that one of a model belongs to."""
    if not found or found[-1]["role"] != "assistant":
        found.append({"id": message.id or "", "role": "assistant", "parts": []})
    parts: list[Part] = found[-1]["parts"]
    return parts


def _parts(message: BaseMessage) -> list[Part]:
    parts: list[Part] = []
    for fields in blocks_of(message):
        if fields.get("type") in ("text", "reasoning"):
            if text := fields.get(fields["type"]):
                parts.append({"type": fields["type"], "text": text, "state": "done"})
        elif (file := file_of("", fields)) is not None:
            parts.append({"type": "file", "mediaType": file.media_type, "url": file.url})
    return parts


def _call(call: Mapping[str, Any]) -> Part:
    return {
        "type": f"tool-{call['name']}",
        "toolCallId": str(call.get("id") or ""),
        "state": "input-available",
        "input": call["args"],
    }


def _answer(part: Part | None, message: ToolMessage) -> None:
    if part is None:
        return
    if message.status == "error":
        part |= {"state": "output-error", "errorText": str(message.content)}
    else:
        part |= {"state": "output-available", "output": as_data(message.content)}


def _ask(found: list[dict[str, Any]], calls: Mapping[str, Part], question: Any) -> None:
    id, value = str(attribute(question, "id")), attribute(question, "value")
    if not found or found[-1]["role"] != "assistant":
        found.append({"id": id, "role": "assistant", "parts": []})
    parts: list[Part] = found[-1]["parts"]
    parts.append({"type": "data-interrupt", "id": id, "data": {"id": id, "value": value}})
    waiting = {
        call_id: (part["type"].removeprefix("tool-"), part["input"])
        for call_id, part in calls.items()
        if part["state"] == "input-available"
    }
    for number, call_id in enumerate(calls_to_approve(value, waiting)):
        calls[call_id] |= {
            "state": "approval-requested",
            "approval": {"id": approval_id(id, number)},
        }


def said_again(parts: Iterable[Mapping[str, Any]]) -> Iterator[Part]:
    """Yield the parts of a stream that make these parts of a message."""
    has_step = False
    for number, part in enumerate(parts):
        kind = part["type"]
        if kind == "step-start":
            if has_step:
                yield {"type": "finish-step"}
            has_step = True
            yield {"type": "start-step"}
        elif kind in ("text", "reasoning"):
            id = f"said-{number}"
            yield {"type": f"{kind}-start", "id": id}
            yield {"type": f"{kind}-delta", "id": id, "delta": part["text"]}
            yield {"type": f"{kind}-end", "id": id}
        elif "toolCallId" in part:
            yield from _called_again(part)
        else:
            yield dict(part)
    if has_step:
        yield {"type": "finish-step"}


def _called_again(part: Mapping[str, Any]) -> Iterator[Part]:
    call = {"toolCallId": part["toolCallId"]}
    name = part["type"].removeprefix("tool-")
    yield {"type": "tool-input-available", **call, "toolName": name, "input": part["input"]}
    if part["state"] == "output-available":
        yield {"type": "tool-output-available", **call, "output": part["output"]}
    elif part["state"] == "output-error":
        yield {"type": "tool-output-error", **call, "errorText": part["errorText"]}
