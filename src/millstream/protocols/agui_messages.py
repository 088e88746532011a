"""The messages of a thread as those of a client of AG-UI: `MESSAGES_SNAPSHOT`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from millstream.protocols.contents import ROLES, as_message, blocks_of, file_of
from millstream.protocols.lines import dumps

KINDS: Final = {"file": "document"}
"""The types of files in content blocks -> those of parts, where they have another name."""
MEDIA: Final = ("image", "audio", "video", "file")

AgentMessage = dict[str, Any]


def agent_messages(
    messages: Iterable[Any], owners: Mapping[str, str] | None = None
) -> list[AgentMessage]:
    """Return the messages of a state as a client has them when it was told all of them.

    Args:
        messages: Those of the state, as objects or as JSON.
        owners: The subagents that have said some of them, by the ids of messages.
    """
    found: list[AgentMessage] = []
    for place, given in enumerate(messages):
        message = as_message(given)
        if message is None:
            continue
        id = message.id or f"message-{place}"
        said = _said(message, id)
        owner = (owners or {}).get(id)
        found.extend(said if owner is None else ({**one, "subagentRunId": owner} for one in said))
    return found


def waiting_calls(messages: Iterable[Any]) -> dict[str, tuple[str, Any]]:
    """Return the calls in the messages of a state that nobody has answered: name, arguments."""
    found: dict[str, tuple[str, Any]] = {}
    for message in filter(None, map(as_message, messages)):
        if isinstance(message, AIMessage):
            found.update(
                {str(call["id"]): (call["name"], call["args"]) for call in message.tool_calls}
            )
        elif isinstance(message, ToolMessage):
            found.pop(message.tool_call_id, None)
    return found


def result_id(call_id: str) -> str:
    """Return the id of the message that a call is answered with."""
    return f"{call_id}:result"


def file_id(message_id: str, number: int) -> str:
    """Return the id of the activity that shows a file of a message."""
    return f"{message_id}:file-{number}"


def result_of(output: Any) -> str | list[dict[str, Any]]:
    """Return what a tool has returned: parts if there are files in it, else text."""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and any(_kind(block) in MEDIA for block in output):
        parts = [part for part in map(_part, output) if part is not None]
        if len(parts) == len(output):
            return parts
    return dumps(output)


def _said(message: BaseMessage, id: str) -> Iterator[AgentMessage]:
    if isinstance(message, ToolMessage):
        told: AgentMessage = {
            "id": result_id(message.tool_call_id),
            "role": "tool",
            "toolCallId": message.tool_call_id,
            "content": result_of(message.content),
        }
        yield {**told, "error": str(message.content)} if message.status == "error" else told
    elif isinstance(message, AIMessage):
        yield from _said_by_model(message, id)
    else:
        content = _content(message)
        if message.type == "system" and not isinstance(content, str):
            content = "".join(part.get("text", "") for part in content)
        yield {"id": id, "role": ROLES[message.type], "content": content}


def _said_by_model(message: AIMessage, id: str) -> Iterator[AgentMessage]:
    """Yield its reasoning, its text and calls, and its files, each as the stream names it."""
    texts: list[str] = []
    files: list[AgentMessage] = []
    count = 0
    for block in blocks_of(message):
        kind = block.get("type")
        if kind == "reasoning" and block.get("reasoning"):
            yield {"id": f"{id}:{count}", "role": "reasoning", "content": block["reasoning"]}
        elif kind == "text" and block.get("text"):
            texts.append(block["text"])
        else:
            if (shown := file_of(id, block)) is not None:
                content = {"mediaType": shown.media_type, "url": shown.url}
                one = {"id": file_id(id, len(files)), "role": "activity", "content": content}
                files.append({**one, "activityType": "file"})
            continue
        count += 1
    told: AgentMessage = {"id": id, "role": "assistant"}
    if texts:
        told["content"] = "".join(texts)
    if message.tool_calls:
        told["toolCalls"] = [
            _call(id, place, call) for place, call in enumerate(message.tool_calls)
        ]
    if texts or message.tool_calls:
        yield told
    yield from files


def _call(message_id: str, place: int, call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": json.dumps(call["args"], default=str)}
    id = str(call.get("id") or f"{message_id}:call-{place}")
    return {"id": id, "type": "function", "function": function}


def _content(message: BaseMessage) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    return [part for part in map(_part, blocks_of(message)) if part is not None]


def _part(block: Any) -> dict[str, Any] | None:
    """Return a content block as a part of a message; None for what has no form."""
    kind = _kind(block)
    if kind == "text":
        return {"type": "text", "text": str(block.get("text") or "")}
    if kind not in MEDIA:
        return None
    mime_type = {"mimeType": str(block["mime_type"])} if block.get("mime_type") else {}
    data = block.get("base64") or block.get("data")
    if data and not block.get("url"):
        shown = file_of("", block)
        media = mime_type or {"mimeType": shown.media_type if shown else "application/octet-stream"}
        source = {"type": "data", "value": str(data), **media}
    elif block.get("url"):
        source = {"type": "url", "value": str(block["url"]), **mime_type}
    elif block.get("file_id"):
        source = {"type": "file", "value": str(block["file_id"]), **mime_type}
    else:
        return None
    return {"type": KINDS.get(kind, kind), "source": source}


def _kind(block: Any) -> str:
    return str(block.get("type")) if isinstance(block, Mapping) else ""
