"""What clients of AG-UI send, as the input of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millstream.protocols.agui_messages import result_id
from millstream.protocols.approvals import approved_call, decision, in_order
from millstream.protocols.conversation import Conversation, Message, checked
from millstream.types import Command

SPOKEN: Final = ("developer", "system", "user", "assistant", "tool")
"""The roles of messages that a graph is given; the others are what was shown beside."""
OF_CLIENT: Final = ("developer", "system", "user", "tool")
HELD: Final = ("assistant", "reasoning", "tool", "activity")
"""The roles of what subagents say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRequest(Conversation):
    """A run that is asked for."""

    thread_id: str
    run_id: str
    calls: Mapping[str, str] = field(default_factory=dict)
    """The calls in the conversation that nobody has answered: id -> name."""
    state: Any = None
    """The state that the client has, which it may have changed."""
    tools: Sequence[Any] = ()
    """The tools of the client, as functions in OpenAI's form."""
    context: Sequence[Any] = ()
    """What the client says of itself: objects with `description` and `value`."""
    forwarded: Any = None
    """`forwardedProps`: what it sends besides."""
    parent_run_id: str | None = None
    """The run that has started this one, where the client says so."""
    held: Sequence[Message] = ()
    """The messages of the client that subagents have said, which the state may not have."""

    @property
    def input(self) -> Any:
        """What a graph with a thread is given: the answers to its questions, or what is new."""
        if self.answers:
            return Command(resume=dict(self.answers))
        return {"messages": [message for message in self.new if not is_told(message)]}


def read(body: Any) -> AgentRequest:
    """Return what a client asks for.

    Args:
        body: The JSON of the request, a `RunAgentInput`.

    Raises:
        ValueError: The body is no such request. The message says what is wrong with it.
    """
    if not isinstance(body, Mapping):
        raise ValueError(f"a request of AG-UI is a JSON object, not {type(body).__name__}")
    for name in ("threadId", "runId"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise ValueError(f"`{name}` must be a text")
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise ValueError("`messages` must be a list of objects with `id` and `role`")
    resume = body.get("resume") or []
    if not isinstance(resume, list) or not all(map(_is_answer, resume)):
        raise ValueError("`resume` must be a list of objects with `interruptId` and `status`")
    spoken = [message for message in messages if message["role"] in SPOKEN]
    places = range(len(messages), 0, -1)
    last = next((n for n in places if messages[n - 1]["role"] not in OF_CLIENT), 0)
    return AgentRequest(
        thread_id=body["threadId"],
        run_id=body["runId"],
        new=checked([message_of(one) for one in messages[last:]]),
        history=[message_of(one) for one in spoken],
        answers=_answers(resume),
        calls=_waiting(spoken),
        state=body.get("state"),
        tools=[_tool(tool) for tool in _list(body.get("tools")) if isinstance(tool, Mapping)],
        context=_list(body.get("context")),
        forwarded=body.get("forwardedProps"),
        parent_run_id=_text(body.get("parentRunId")),
        held=[dict(one) for one in messages if _is_of_subagent(one)],
    )


def is_told(message: Message) -> bool:
    """Say whether a message is the result of a call that the client was told of by a run."""
    return bool(message["role"] == "tool" and message["id"] == result_id(message["tool_call_id"]))


def message_of(message: Mapping[str, Any]) -> Message:
    """Return a message as every state of messages takes it."""
    content = message.get("content")
    told: Message = {
        "role": message["role"],
        "id": message["id"],
        "content": [_part(part) for part in content]
        if isinstance(content, list)
        else content or "",
    }
    if message["role"] == "assistant" and isinstance(message.get("toolCalls"), list):
        told["tool_calls"] = message["toolCalls"]
    if message["role"] == "tool":
        told["tool_call_id"] = str(message.get("toolCallId") or "")
        if message.get("error"):
            told |= {"status": "error", "content": told["content"] or str(message["error"])}
    return told


def _part(part: Any) -> Any:
    """Return a part of a message as a content block."""
    source = part.get("source") if isinstance(part, Mapping) else None
    if not isinstance(source, Mapping):
        return part
    kind = "file" if part.get("type") == "document" else str(part.get("type"))
    block: dict[str, Any] = {"type": kind}
    if source.get("mimeType"):
        block["mime_type"] = source["mimeType"]
    by = {"data": "base64", "url": "url", "file": "file_id"}
    block[by.get(str(source.get("type")), "url")] = source.get("value")
    return block


def _answers(resume: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the answers by their questions; those about calls are a list of decisions."""
    answers: dict[str, Any] = {}
    decisions: dict[tuple[str, int], Any] = {}
    for entry in resume:
        id, payload = str(entry["interruptId"]), entry.get("payload")
        is_cancelled = entry["status"] == "cancelled"
        call = approved_call(id)
        if call is not None:
            decisions[call] = _decision(payload, is_cancelled=is_cancelled)
        else:
            answers[id] = None if is_cancelled else payload
    return {**answers, **in_order(decisions)}


def _decision(payload: Any, *, is_cancelled: bool) -> Any:
    if isinstance(payload, Mapping) and "type" in payload:
        return payload
    told = payload if isinstance(payload, Mapping) else {}
    approved = told.get("approved", payload is not False)
    reason = told.get("reason")
    is_approved = bool(approved) and not is_cancelled
    return decision(is_approved=is_approved, reason=reason if isinstance(reason, str) else None)


def _waiting(spoken: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    answered = {str(one.get("toolCallId")) for one in spoken if one["role"] == "tool"}
    found = {}
    for message in spoken:
        for call in _list(message.get("toolCalls")):
            function = call.get("function") if isinstance(call, Mapping) else None
            if isinstance(function, Mapping) and str(call.get("id")) not in answered:
                found[str(call.get("id"))] = str(function.get("name") or "")
    return found


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    known = {"name": tool.get("name"), "description": tool.get("description") or ""}
    return {"type": "function", "function": {**known, "parameters": tool.get("parameters") or {}}}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, Mapping)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("id"), str)
    )


def _is_of_subagent(message: Mapping[str, Any]) -> bool:
    calls = message.get("toolCalls", [])
    return (
        isinstance(message.get("subagentRunId"), str)
        and message["role"] in HELD
        and isinstance(calls, list)
        and all(isinstance(call, Mapping) and isinstance(call.get("id"), str) for call in calls)
    )


def _is_answer(entry: Any) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("interruptId"), str)
        and entry.get("status") in ("resolved", "cancelled")
    )
