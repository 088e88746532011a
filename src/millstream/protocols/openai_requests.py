"""What clients of OpenAI's API send, as the input of a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millstream.protocols.conversation import Conversation, Message, checked

QUESTION: Final = "interrupt"
"""The name of the function that a question is a call of."""
ROLES: Final = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest(Conversation):
    """A chat completion that is asked for."""

    model: str
    thread_id: str | None = None
    """The thread that is gone on with."""
    tools: Sequence[Any] = ()
    """The tools of the client, as it describes them."""
    is_streamed: bool = False
    has_usage: bool = False
    """A streamed completion tells the tokens, too."""


def read_chat(body: Any) -> CompletionRequest:
    """Return what a client asks for.

    Args:
        body: The JSON of a request for a chat completion. `metadata.thread_id` names a thread.

    Raises:
        ValueError: The body is no such request. The message says what is wrong with it.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("model"), str):
        raise ValueError("a request for a chat completion is a JSON object with a `model`")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise ValueError(
            f"`messages` must be a list of objects with a `role`, one of {', '.join(ROLES)}"
        )
    if body.get("n") not in (None, 1):
        raise ValueError(f"there is one choice: `n` cannot be {body['n']!r}")
    options = body.get("stream_options")
    tools = body.get("tools")
    new, answers = split(messages)
    thread_id = thread_in(body)
    history = [_plain(message) for message in messages]
    return CompletionRequest(
        model=body["model"],
        # What a thread has, no graph is given again: calls may be in it that are none of a tool.
        history=history if thread_id is not None else checked(history),
        new=checked([_plain(message) for message in new]),
        thread_id=thread_id,
        answers=answers,
        tools=tools if isinstance(tools, list) else (),
        is_streamed=body.get("stream") is True,
        has_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
    )


def split(messages: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the messages after the assistant's last one, and the answers to its questions."""
    places = range(len(messages) - 1, -1, -1)
    last = next((place for place in places if messages[place]["role"] == "assistant"), -1)
    new = messages[last + 1 :]
    asked = questions_in(messages[last]) if last >= 0 else set()
    answers = {
        str(one.get("tool_call_id")): answer_of(one.get("content"))
        for one in new
        if one["role"] == "tool" and str(one.get("tool_call_id")) in asked
    }
    return new, answers


def questions_in(message: Mapping[str, Any]) -> set[str]:
    """Return the ids of the questions that a message of the assistant has asked."""
    calls = message.get("tool_calls")
    return {
        str(call.get("id"))
        for call in (calls if isinstance(calls, list) else ())
        if isinstance(call, Mapping)
        and isinstance(call.get("function"), Mapping)
        and call["function"].get("name") == QUESTION
    }


def answer_of(content: Any) -> Any:
    """Return an answer: what its text is as JSON, if it is any."""
    if not isinstance(content, str):
        return content
    try:
        return json.loads(content)
    except ValueError:
        return content


def thread_in(body: Mapping[str, Any]) -> str | None:
    """Return the thread that a request names."""
    metadata = body.get("metadata")
    given = metadata.get("thread_id") if isinstance(metadata, Mapping) else None
    if given is not None and (not isinstance(given, str) or not given):
        raise ValueError("`metadata.thread_id` must be the id of a thread, or a name for one")
    return given


def names_of(tools: Sequence[Any]) -> frozenset[str]:
    """Return the names of a client's tools, in the form of chat completions."""
    described = (tool.get("function") for tool in tools if isinstance(tool, Mapping))
    return frozenset(str(one.get("name")) for one in described if isinstance(one, Mapping))


def _plain(message: Mapping[str, Any]) -> Message:
    """Return a message without what is null in it."""
    return {"content": "", **{key: value for key, value in message.items() if value is not None}}


def _is_message(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("role") in ROLES
