"""What a client of AG-UI has of a conversation that its state does not have.

A `MESSAGES_SNAPSHOT` takes the place of all messages of a client. What the state has had decides
the state about; what it never had, as what a nested graph has said and kept for itself, the client
has been told as well, and is told again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from millstream.protocols.agui_messages import AgentMessage, result_id
from millstream.protocols.contents import attribute

AgentEvent = dict[str, Any]

FILE: Final = "file"
SCOPE: Final[AgentEvent] = {"@ag-ui/client": {"authoritativeActivityTypes": [FILE]}}
"""The metadata of snapshots by which the official client keeps what nodes have written: of other
activities than files a snapshot says nothing."""


class HeldMessages:
    """The messages of a client that its state has never had."""

    def __init__(self, messages: Iterable[AgentMessage] = ()) -> None:
        """Begin with those that the client has of earlier runs."""
        self._order: dict[str, None] = {}
        """The ids of all messages, in the order in which the client has got them."""
        self._of_state: set[str] = set()
        """Those that the state has, or has had."""
        self._held: dict[str, AgentMessage] = {}
        self._texts: dict[str, list[str]] = {}
        """The pieces of texts, by their messages."""
        self._arguments: dict[str, list[str]] = {}
        """The pieces of the arguments of calls in these messages."""
        self._callers: dict[str, str] = {}
        """Calls -> the messages that have made them."""
        for message in messages:
            self._order.setdefault(message["id"])
            self._held[message["id"]] = message
            for call in message.get("toolCalls", ()):
                self._callers[call["id"]] = message["id"]

    def know(self, messages: Sequence[Any]) -> None:
        """Take note of the messages of the state: what becomes of them, it says itself."""
        found: dict[str, None] = {}
        for one in messages:
            is_result = attribute(one, "type") == "tool"
            answer = result_id(str(attribute(one, "tool_call_id"))) if is_result else None
            found.update((str(id), None) for id in (attribute(one, "id"), answer) if id is not None)
        if self._of_state.issuperset(found):
            return
        self._of_state.update(found)
        self._order = {**self._order, **found}
        for id in [id for id in self._held if self._is_of_state(id)]:
            for call in self._held.pop(id).get("toolCalls", ()):
                self._arguments.pop(call["id"], None)
            self._texts.pop(id, None)

    def follow(self, told: AgentEvent) -> None:
        """Take note of an event that the client is told."""
        if (follow := _FOLLOWED.get(told["type"])) is not None:
            follow(self, told)

    def beside(self, messages: Sequence[AgentMessage]) -> list[AgentMessage]:
        """Return the messages of the state with those that it never had, at their places."""
        known = {message["id"] for message in messages}
        after: dict[str | None, list[AgentMessage]] = {}
        place: str | None = None
        for id in self._order:
            if id in known:
                place = id
            elif id in self._held:
                after.setdefault(place, []).append(self._whole(id))
        found = list(after.get(None, ()))
        for message in messages:
            found += [message, *after.get(message["id"], ())]
        return found

    def _is_of_state(self, id: str) -> bool:
        # Reasoning, files and more pieces of text belong to the message that their id begins with.
        whole, _, _ = id.rpartition(":")
        call_id = self._held.get(id, {}).get("toolCallId")
        around = id, whole, self._callers.get(str(call_id))
        return any(each in self._of_state for each in around)

    def _whole(self, id: str) -> AgentMessage:
        """Return a message, with what has grown."""
        message = dict(self._held[id])
        if id in self._texts:
            message["content"] = "".join(self._texts[id])
        if "toolCalls" in message:
            message["toolCalls"] = list(map(self._whole_call, message["toolCalls"]))
        return message

    def _whole_call(self, call: AgentMessage) -> AgentMessage:
        if (pieces := self._arguments.get(call["id"])) is None:
            return call
        return {**call, "function": {**call["function"], "arguments": "".join(pieces)}}

    def _hold(self, told: AgentEvent, id: str, **fields: Any) -> AgentMessage | None:
        """Return the message that an event is about; None if it is one of the state."""
        self._order.setdefault(id)
        owner = {"subagentRunId": told["subagentRunId"]} if "subagentRunId" in told else {}
        message = self._held.setdefault(id, {"id": id, **fields, **owner})
        if self._is_of_state(id):
            del self._held[id]
            return None
        return message

    def _begin_text(self, told: AgentEvent) -> None:
        id = told["messageId"]
        message = self._hold(told, id, role=told["role"], content="")
        if message is not None and id not in self._texts:
            self._texts[id] = [message.get("content") or ""]

    def _grow_text(self, told: AgentEvent) -> None:
        if (pieces := self._texts.get(told["messageId"])) is not None:
            pieces.append(told["delta"])

    def _begin_call(self, told: AgentEvent) -> None:
        call_id = told["toolCallId"]
        if call_id in self._callers:
            return
        caller = self._callers[call_id] = str(told.get("parentMessageId", call_id))
        message = self._hold(told, caller, role="assistant")
        if message is not None:
            function = {"name": told["toolCallName"], "arguments": ""}
            call = {"id": call_id, "type": "function", "function": function}
            self._arguments[call_id] = []
            message["toolCalls"] = [*message.get("toolCalls", ()), call]

    def _grow_call(self, told: AgentEvent) -> None:
        if (pieces := self._arguments.get(told["toolCallId"])) is not None:
            pieces.append(told["delta"])

    def _answer(self, told: AgentEvent) -> None:
        names = ("role", "toolCallId", "content", "metadata")
        answer = {name: told[name] for name in names if name in told}
        self._hold(told, told["messageId"], **answer)

    def _show(self, told: AgentEvent) -> None:
        if told["activityType"] == FILE:
            shown = {name: told[name] for name in ("activityType", "content")}
            self._hold(told, told["messageId"], role="activity", **shown)


_FOLLOWED: Final[Mapping[str, Callable[[HeldMessages, AgentEvent], None]]] = {
    "TEXT_MESSAGE_START": HeldMessages._begin_text,
    "TEXT_MESSAGE_CONTENT": HeldMessages._grow_text,
    "REASONING_MESSAGE_START": HeldMessages._begin_text,
    "REASONING_MESSAGE_CONTENT": HeldMessages._grow_text,
    "TOOL_CALL_START": HeldMessages._begin_call,
    "TOOL_CALL_ARGS": HeldMessages._grow_call,
    "TOOL_CALL_RESULT": HeldMessages._answer,
    "ACTIVITY_SNAPSHOT": HeldMessages._show,
}
