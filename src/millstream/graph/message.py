"""State that is a list of messages."""

from __future__ import annotations

from typing import Annotated, cast

from langchain_core.messages import (
    AnyMessage,
    BaseMessageChunk,
    MessageLikeRepresentation,
    convert_to_messages,
)

# Programs take these from here as often as from LangChain, and `AnyMessage` too.
from langchain_core.messages import BaseMessage as BaseMessage
from langchain_core.messages import RemoveMessage as RemoveMessage
from typing_extensions import TypedDict

from millstream.graph._builder.message_graph import MessageGraph
from millstream.graph._builder.messages import REMOVE_ALL_MESSAGES, add_messages
from millstream.graph._builder.messages import Messages as Messages  # public, but not for `*`

__all__ = (
    "REMOVE_ALL_MESSAGES",
    "MessageGraph",
    "MessagesState",
    "add_messages",
    "push_message",
)


def push_message(
    message: MessageLikeRepresentation | BaseMessageChunk, *, state_key: str | None = "messages"
) -> AnyMessage:
    """Send a message to the readers of `messages` streams now, and write it to the state.

    Called in a node or `@task`; returns the message. It is sent whatever was sent before, and not
    again when the node returns it. `state_key=None` leaves the state alone. Raises `ValueError` for
    a message without an id.
    """
    from millstream.config import get_task_context
    from millstream.drivers import taps

    pushed = next(iter(convert_to_messages([message])))
    if pushed.id is None:
        raise ValueError("Message ID is required")
    context = get_task_context()
    taps.emit_message(context, pushed)
    if state_key:
        # Among the node's own writes, in the order in which it made them.
        context.task.writes.append((state_key, pushed))
    return cast("AnyMessage", pushed)


class MessagesState(TypedDict):
    """A state with one key, `messages`, that `add_messages` reduces."""

    messages: Annotated[list[AnyMessage], add_messages]
