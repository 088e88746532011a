"""The reducer of state keys that are lists of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, cast, overload

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    MessageLikeRepresentation,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
    convert_to_openai_messages,
    message_chunk_to_message,
)

from millstream._base import clock
from millstream.channels.base import BaseChannel
from millstream.channels.binop import BinaryOperatorAggregate

Messages: TypeAlias = list[MessageLikeRepresentation] | MessageLikeRepresentation
"""What a state key reduced by `add_messages` accepts: messages, or anything that becomes one."""

REMOVE_ALL_MESSAGES: Final = "__remove_all__"
"""The id of a `RemoveMessage` that removes everything before it."""

# Messages of exactly these types need no conversion, so a long history is only looked through.
_FINISHED_TYPES: Final = frozenset(
    {AIMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage}
)
_LASTING_TYPES: Final = _FINISHED_TYPES - {RemoveMessage}


@overload
def add_messages(left: Messages, right: Messages, *, format: str | None = None) -> Messages: ...


@overload
def add_messages(
    left: None = None, right: None = None, **kwargs: Any
) -> Callable[[Messages, Messages], Messages]: ...


def add_messages(
    left: Messages | None = None, right: Messages | None = None, **kwargs: Any
) -> Messages | Callable[[Messages, Messages], Messages]:
    """Append the messages of `right` to those of `left`; one with a known id replaces it.

    The reducer of `MessagesState`. Chunks become whole messages, and messages without an id get one
    (in place).

    Args:
        left: The messages there are: one or a list, as objects, dicts, text or `(role, text)`.
        right: The new ones. A `RemoveMessage` deletes the message of its id; with the id
            `REMOVE_ALL_MESSAGES` it deletes all that come before it.
        kwargs: `format="langchain-openai"` gives every content the shape of OpenAI's API.

    Returns:
        The list of messages; without `left` and `right` a reducer that remembers `format`.

    Raises:
        ValueError: A `RemoveMessage` for a message that is not there, an unknown format, or only
            one side.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> from millstream.graph import add_messages
        >>> said = add_messages([HumanMessage("Hi", id="1")], [HumanMessage("Hello", id="2")])
        >>> [message.content for message in add_messages(said, HumanMessage("Hey", id="1"))]
        ['Hey', 'Hello']
    """
    if left is not None and right is not None:
        return _add_messages(left, right, **kwargs)
    if left is None and right is None:
        return partial(add_messages, **kwargs)
    given = "right" if left is None else "left"
    raise ValueError(
        f"Must specify non-null arguments for both 'left' and 'right'. Only received: '{given}'."
    )


def _add_messages(
    left: Messages, right: Messages, format: str | None = None, **unknown: Any
) -> Messages:
    if unknown:
        name = next(iter(unknown))
        raise TypeError(f"add_messages() got an unexpected keyword argument {name!r}")
    merged = _merged(_as_messages(left), _as_messages(right))
    if not format:
        return cast("Messages", merged)
    if format != "langchain-openai":
        raise ValueError(
            f"Unrecognized format={format!r}. Expected one of 'langchain-openai', None."
        )
    return cast("Messages", convert_to_messages(convert_to_openai_messages(merged)))


def _as_messages(messages: Messages) -> list[BaseMessage]:
    items: Iterable[Any] = messages if isinstance(messages, list) else [messages]
    if _FINISHED_TYPES.issuperset(map(type, items)):
        return cast("list[BaseMessage]", items)
    return [
        message_chunk_to_message(cast("BaseMessageChunk", message))
        for message in convert_to_messages(items)
    ]


def _ids_of(messages: Iterable[BaseMessage]) -> list[str | None]:
    """Return the ids of messages; those that have none get one, in place."""
    for message in messages:
        if message.id is None:
            message.id = clock.message_id()
    return [message.id for message in messages]


def giver_of_ids(
    channels: Mapping[str, BaseChannel[Any, Any, Any]],
) -> Callable[[Iterable[tuple[str, Any]]], None] | None:
    """Return what gives messages their ids that are written to channels with `add_messages`.

    In place and at once, so that whoever sees the update sees the ids that the state will have.
    None where there are no such channels.
    """
    keys = frozenset(
        key
        for key, channel in channels.items()
        if isinstance(channel, BinaryOperatorAggregate) and _is_message_reducer(channel.operator)
    )

    def give(writes: Iterable[tuple[str, Any]]) -> None:
        for key, value in writes:
            if key in keys:
                _give_ids(value)

    return give if keys else None


def _give_ids(written: Any) -> None:
    """Give messages their ids, but for chunks: they are not what will be in the state."""
    for message in written if isinstance(written, list) else (written,):
        is_message = type(message) in _FINISHED_TYPES or (
            isinstance(message, BaseMessage) and not isinstance(message, BaseMessageChunk)
        )
        if is_message and message.id is None:
            message.id = clock.message_id()


def _is_message_reducer(reducer: Any) -> bool:
    """Say whether a reducer is `add_messages`, with or without options."""
    return reducer is add_messages or getattr(reducer, "func", None) is add_messages


def _merged(current: list[BaseMessage], added: list[BaseMessage]) -> list[BaseMessage]:
    new = _ids_of(added)
    fresh = {None, *new}
    is_all_new = len(fresh) > len(new) and _LASTING_TYPES.issuperset(map(type, added))
    # The ids of a long history are most of the cost, so they are looked at once if that is enough.
    if is_all_new and fresh.isdisjoint([message.id for message in current]):
        return [*current, *added]
    known = _ids_of(current)
    # The last one counts: what comes before it is removed anyhow.
    for index in range(len(added) - 1, -1, -1):
        if new[index] == REMOVE_ALL_MESSAGES and isinstance(added[index], RemoveMessage):
            return added[index + 1 :]
    # A new list: checkpoints and consumers have the old one.
    merged = current.copy()
    places = {id: place for place, id in enumerate(known)}
    removed: set[str | None] = set()
    for message in added:
        place = places.get(message.id)
        if isinstance(message, RemoveMessage):
            if place is None:
                raise ValueError(
                    f"Attempting to delete a message with an ID that doesn't exist ('{message.id}')"
                )
            removed.add(message.id)
        elif place is None:
            # One may be replaced by another of the same update.
            places[message.id] = len(merged)
            merged.append(message)
        else:
            # A message that is removed and added again keeps its place.
            removed.discard(message.id)
            merged[place] = message
    if not removed:
        return merged
    return [message for message in merged if message.id not in removed]


add_messages.__module__ = "millstream.graph.message"
