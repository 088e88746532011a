"""What clients of OpenAI's Responses API send, as the input of a graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millstream.protocols.conversation import Conversation, Message, checked
from millstream.protocols.openai_requests import answer_of

QUESTION_ID: Final = "interrupt_"
"""What the ids of calls begin with that are questions."""
ROLES: Final = ("system", "developer", "user", "assistant")
PICTURES: Final = "data:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest(Conversation):
    """A response that is asked for."""

    model: str
    conversation_id: str | None = None
    """The conversation that is gone on with."""
    previous_id: str | None = None
    """The response that is gone on from."""
    tools: Sequence[Any] = ()
    """The tools of the client, as functions in the form of chat completions."""
    instructions: str | None = None
    is_streamed: bool = False
    is_kept: bool = True
    """The conversation is kept, for responses that go on with it."""
    is_in_background: bool = False
    """The client does not wait for it."""


def read_response(body: Any) -> ResponseRequest:
    """Return what a client asks for.

    Args:
        body: The JSON of a request for a response.

    Raises:
        ValueError: The body is no such request. The message says what is wrong with it.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("model"), str):
        raise ValueError("a request for a response is a JSON object with a `model`")
    given = body.get("input", [])
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not all(map(_is_item, items)):
        raise ValueError("`input` must be a text, or a list of items with a `type` or a `role`")
    conversation = body.get("conversation")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id")
    previous = body.get("previous_response_id")
    for name, id in (("conversation", conversation), ("previous_response_id", previous)):
        if id is not None and (not isinstance(id, str) or not id):
            raise ValueError(f"`{name}` must be an id")
    if conversation is not None and previous is not None:
        raise ValueError("`conversation` and `previous_response_id` exclude each other")
    tools = body.get("tools") or []
    if not isinstance(tools, list):
        raise ValueError("`tools` must be a list")
    instructions = body.get("instructions")
    messages = checked([message for item in items for message in _messages_of(item)])
    return ResponseRequest(
        model=body["model"],
        new=messages,
        history=messages,
        conversation_id=conversation,
        previous_id=previous,
        answers={
            str(item.get("call_id"))[len(QUESTION_ID) :]: answer_of(item.get("output"))
            for item in items
            if _is_answer(item)
        },
        tools=[_tool(tool) for tool in tools if _is_function(tool)],
        instructions=instructions if isinstance(instructions, str) else None,
        is_streamed=body.get("stream") is True,
        is_kept=body.get("store") is not False,
        is_in_background=body.get("background") is True,
    )


def _messages_of(item: Mapping[str, Any]) -> Iterator[Message]:
    type = item.get("type") or "message"
    if type == "message" and item.get("role") in ROLES:
        content = item.get("content")
        parts = [_part(part) for part in content] if isinstance(content, list) else content or ""
        yield {"role": item["role"], "content": parts}
    elif type == "function_call" and item.get("name") != "interrupt":
        function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        yield {"role": "assistant", "content": "", "tool_calls": [call]}
    elif type == "function_call_output" and not _is_answer(item):
        output = item.get("output")
        content = [_part(part) for part in output] if isinstance(output, list) else output or ""
        yield {"role": "tool", "tool_call_id": str(item.get("call_id")), "content": content}


def _part(part: Any) -> Any:
    """Return a part of a message as a content block."""
    type = part.get("type") if isinstance(part, Mapping) else None
    if type in ("input_text", "output_text"):
        return {"type": "text", "text": str(part.get("text") or "")}
    url = part.get("image_url") or part.get("file_url") or part.get("file_data") if type else None
    if type not in ("input_image", "input_file") or not isinstance(url, str):
        return part
    block: dict[str, Any] = {"type": "image" if type == "input_image" else "file"}
    head, is_inline, data = url.partition(";base64,")
    if is_inline and head.startswith(PICTURES):
        return {**block, "mime_type": head[len(PICTURES) :], "base64": data}
    return {**block, "url": url}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    known = ("name", "description", "parameters", "strict")
    function = {name: tool[name] for name in known if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _is_function(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") == "function"


def _is_answer(item: Mapping[str, Any]) -> bool:
    is_output = item.get("type") == "function_call_output"
    return is_output and str(item.get("call_id")).startswith(QUESTION_ID)


def _is_item(item: Any) -> bool:
    return isinstance(item, Mapping) and (
        isinstance(item.get("type"), str) or item.get("role") in ROLES
    )
