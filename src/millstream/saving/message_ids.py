"""Ids of messages that are written to delta channels.

A delta channel is rebuilt from its writes as they were stored, whenever it is loaded. A message
that got its id from the reducer would get another one each time; so it gets it when it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from langchain_core.messages import BaseMessage, convert_to_messages

from millstream.constants import OVERWRITE
from millstream.types import Overwrite

if TYPE_CHECKING:
    from millstream.core.protocol import Write

ROLES: Final = frozenset(("ai", "assistant", "function", "human", "system", "tool", "user"))
"""What a dict says that stands for a message, as its role or type; others stay dicts."""


def with_message_ids(writes: Sequence[Write], keys: Collection[str]) -> Sequence[Write]:
    """Return the writes with ids for the messages that go to one of these channels.

    A message gets its id in place. Dicts in a list or tuple that stand for messages become some.
    """
    if not keys:
        return writes
    return [(key, _with_ids(value) if key in keys else value) for key, value in writes]


def writer_with_message_ids(
    to_writes: Callable[[Any], list[Write]], keys: Collection[str]
) -> Callable[[Any], list[Write]]:
    """Return what does the same and gives messages for these channels their ids."""
    if not keys:
        return to_writes

    def writes_of(result: Any) -> list[Write]:
        return list(with_message_ids(to_writes(result), keys))

    return writes_of


def _with_ids(value: Any) -> Any:
    if isinstance(value, Overwrite):
        return replace(value, value=_with_ids(value.value))
    if isinstance(value, list):
        return [_as_message(item) for item in value]
    if type(value) is tuple:
        return tuple(map(_as_message, value))
    if not isinstance(value, dict):
        return _with_id(value)
    # An Overwrite after a trip through JSON, in its two forms; see `channels._reducing`.
    if value.keys() == {OVERWRITE}:
        return {OVERWRITE: _with_ids(value[OVERWRITE])}
    if value.get("type") == OVERWRITE and "value" in value:
        return {**value, "value": _with_ids(value["value"])}
    if _is_message(value) and not value.get("id"):
        return {**value, "id": str(uuid4())}
    return value


def _as_message(item: Any) -> Any:
    if isinstance(item, dict) and _is_message(item):
        # An empty id counts as none, as it does for the reducer.
        (item,) = convert_to_messages([{**item, "id": item.get("id") or None}])
    return _with_id(item)


def _with_id(item: Any) -> Any:
    if isinstance(item, BaseMessage) and item.id is None:
        # In place, so that the node, the stream and the state speak of one message.
        item.id = str(uuid4())
    return item


def _is_message(value: dict[str, Any]) -> bool:
    # Other dicts may have a content too; only a role says that LangChain would make a message of
    # it.
    return "content" in value and value.get("role", value.get("type")) in ROLES
