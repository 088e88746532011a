"""What pages with the AI SDK send: their messages, as the input of a graph."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millstream.protocols.approvals import approved_call, decision, in_order
from millstream.protocols.conversation import Conversation, Message, checked

ANSWERED: Final = ("output-available", "output-error", "output-denied")
KINDS: Final = ("image", "audio", "video")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(Conversation):
    """What a page asks for with its messages."""

    chat_id: str | None
    """The id of the chat."""
    message_id: str | None = None
    """The message of the assistant that is gone on with; None if there is a new one."""
    replaces: str | None = None
    """The message of the user after which a thread is to forget: it was changed, or its answer is
    to be made again."""
    calls: Mapping[str, str] = field(default_factory=dict)
    """The calls in the message that is gone on with that nobody has answered: id -> name."""
    denied: Collection[str] = ()
    """Those of them that were not approved on the page."""


def read(body: Any) -> ChatRequest:
    """Return what a page asks for.

    Args:
        body: The JSON of the request, as `DefaultChatTransport` sends it: `id`, `messages`,
            `trigger`, `messageId`. `resume` in it is an answer to what `data-interrupt` has asked:
            an object of the answers by the ids of their questions.

    Raises:
        ValueError: The body is no such request. The message says what is wrong with it.
    """
    if not isinstance(body, Mapping):
        raise ValueError(f"a request of the AI SDK is a JSON object, not {type(body).__name__}")
    messages = body.get("messages")
    if messages is None and body.get("message") is not None:
        messages = [body["message"]]
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise ValueError(
            "`messages` must be a list of UI messages, objects with `role` and a list of `parts`"
        )
    resume = body.get("resume")
    if resume is not None and not isinstance(resume, Mapping):
        raise ValueError("`resume` must be an object: the ids of questions, and their answers")
    last = messages[-1] if messages else None
    goes_on = last is not None and last["role"] == "assistant"
    place = _last_place(messages, "user")
    is_again = body.get("trigger") == "regenerate-message" or body.get("messageId") is not None
    return ChatRequest(
        chat_id=_text(body.get("id")),
        new=checked(_new(messages)),
        history=[one for message in messages for one in messages_of(message)],
        message_id=_text(last.get("id")) if last is not None and goes_on else None,
        replaces=_text(messages[place].get("id"))
        if is_again and not goes_on and place >= 0
        else None,
        answers={**(_answers(last) if last is not None and goes_on else {}), **(resume or {})},
        calls=_waiting(last) if last is not None and goes_on else {},
        denied=frozenset(_denied(last)) if last is not None and goes_on else (),
    )


def messages_of(message: Mapping[str, Any]) -> Iterator[Message]:
    """Yield the messages that a UI message consists of: one for the user, of the assistant more.

    A step of the assistant is a message, with the answers of the tools that it calls after it.
    """
    id = _text(message.get("id"))
    if message["role"] != "assistant":
        role = "system" if message["role"] == "system" else "user"
        content = _content(message["parts"])
        yield {"role": role, "content": content, **({} if id is None else {"id": id})}
        return
    for step in _steps(message["parts"]):
        calls = [part for part in step if _is_call(part) and "input" in part]
        said: Message = {"role": "assistant", "content": _content(step)}
        if calls:
            said["tool_calls"] = [
                {
                    "id": part["toolCallId"],
                    "name": _name(part),
                    "args": part["input"] if isinstance(part["input"], dict) else {},
                    "type": "tool_call",
                }
                for part in calls
            ]
        if calls or said["content"]:
            yield said
        yield from filter(None, map(_answer, calls))


def _new(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Return what comes after the assistant's last message, or what a page has done for it."""
    place = _last_place(messages, "assistant")
    after = messages[place + 1 :]
    if after or place < 0:
        return [one for message in after for one in messages_of(message)]
    # The page has called tools of its own: their answers are what is new.
    steps = list(_steps(messages[place]["parts"]))
    return list(filter(None, map(_answer, filter(_is_call, steps[-1] if steps else ()))))


def _answer(part: Mapping[str, Any]) -> Message | None:
    state = part.get("state")
    if state not in ANSWERED or part.get("preliminary"):
        return None
    if state == "output-available":
        output = part.get("output")
        content = output if isinstance(output, str) else json.dumps(output)
    else:
        content = str(part.get("errorText") or _approval(part).get("reason") or "denied")
    return {
        "role": "tool",
        # The same whenever it is sent: a thread that has it takes it once.
        "id": f"answer-{part['toolCallId']}",
        "tool_call_id": part["toolCallId"],
        "name": _name(part),
        "content": content,
        "status": "success" if state == "output-available" else "error",
    }


def _answers(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decisions about calls, by the questions that asked for them."""
    found: dict[tuple[str, int], Any] = {}
    for part in message["parts"]:
        approval = _approval(part) if part.get("state") == "approval-responded" else {}
        call = approved_call(str(approval.get("id")))
        if call is not None:
            is_approved = bool(approval.get("approved"))
            reason = _text(approval.get("reason"))
            found[call] = decision(is_approved=is_approved, reason=reason)
    return in_order(found)


def _approval(part: Mapping[str, Any]) -> Mapping[str, Any]:
    approval = part.get("approval")
    return approval if isinstance(approval, Mapping) else {}


def _denied(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the calls that were not approved: only of these does the page know that, and why."""
    for part in message["parts"]:
        is_answered = _is_call(part) and part.get("state") == "approval-responded"
        if is_answered and _approval(part).get("approved") is False:
            yield part["toolCallId"]


def _waiting(message: Mapping[str, Any]) -> dict[str, str]:
    return {
        part["toolCallId"]: _name(part)
        for part in message["parts"]
        if _is_call(part) and part.get("state") not in ANSWERED
    }


def _steps(parts: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    step: list[Mapping[str, Any]] = []
    for part in parts:
        if part["type"] == "step-start":
            if step:
                yield step
            step = []
        else:
            step.append(part)
    if step:
        yield step


def _content(parts: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
    """Return text as such, and else the content blocks of LangChain."""
    blocks = [block for part in parts if (block := _block(part)) is not None]
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def _block(part: Mapping[str, Any]) -> dict[str, Any] | None:
    if part["type"] == "text":
        return {"type": "text", "text": str(part.get("text") or "")}
    url = part.get("url")
    if part["type"] != "file" or not isinstance(url, str):
        return None
    media_type = str(part.get("mediaType") or "application/octet-stream")
    kind = media_type.partition("/")[0]
    block: dict[str, Any] = {"type": kind if kind in KINDS else "file", "mime_type": media_type}
    head, comma, data = url.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        block["base64"] = data
    else:
        block["url"] = url
    if part.get("filename"):
        block["extras"] = {"filename": str(part["filename"])}
    return block


def _is_call(part: Mapping[str, Any]) -> bool:
    is_tool = part["type"] == "dynamic-tool" or part["type"].startswith("tool-")
    return is_tool and isinstance(part.get("toolCallId"), str)


def _name(part: Mapping[str, Any]) -> str:
    if part["type"] == "dynamic-tool":
        return str(part.get("toolName") or "")
    return str(part["type"].removeprefix("tool-"))


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, Mapping)
        and message.get("role") in ("system", "user", "assistant")
        and isinstance(message.get("parts"), list)
        and all(
            isinstance(part, Mapping) and isinstance(part.get("type"), str)
            for part in message["parts"]
        )
    )


def _last_place(messages: Sequence[Mapping[str, Any]], role: str) -> int:
    places = range(len(messages) - 1, -1, -1)
    return next((place for place in places if messages[place]["role"] == role), -1)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
