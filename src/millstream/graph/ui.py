"""State that is a list of user interface parts, streamed as it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast
from uuid import uuid4

from typing_extensions import TypedDict

from millstream.constants import CONF, CONFIG_KEY_SEND

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage

__all__ = (
    "AnyUIMessage",
    "RemoveUIMessage",
    "UIMessage",
    "delete_ui_message",
    "push_ui_message",
    "ui_message_reducer",
)


class UIMessage(TypedDict):
    """Show the component `name` with `props`."""

    type: Literal["ui"]
    id: str
    name: str
    props: dict[str, Any]
    metadata: dict[str, Any]


class RemoveUIMessage(TypedDict):
    """Take the component with this id away."""

    type: Literal["remove-ui"]
    id: str


AnyUIMessage: TypeAlias = UIMessage | RemoveUIMessage


def push_ui_message(
    name: str,
    props: dict[str, Any],
    *,
    id: str | None = None,
    metadata: dict[str, Any] | None = None,
    message: AnyMessage | None = None,
    state_key: str | None = "ui",
    merge: bool = False,
) -> UIMessage:
    """Show a component: write it to the `custom` stream and to the state, and return it.

    Only inside a node. `merge` adds `props` to those of the component with the same id instead of
    replacing them; `message` links the component to a message that has an id; without
    `state_key` nothing is written to the state.
    """
    from millstream.config import get_config

    config = get_config()
    message_id = message.get("id") if isinstance(message, dict) else getattr(message, "id", None)
    event: UIMessage = {
        "type": "ui",
        "id": id or str(uuid4()),
        "name": name,
        "props": props,
        "metadata": {
            "merge": merge,
            "run_id": config.get("run_id"),
            "tags": config.get("tags"),
            "name": config.get("run_name"),
            **(metadata or {}),
            **({"message_id": message_id} if message_id else {}),
        },
    }
    _publish(event, state_key)
    return event


def delete_ui_message(id: str, *, state_key: str = "ui") -> RemoveUIMessage:
    """Take a component away: write that to the `custom` stream and to the state, and return it.

    Only inside a node.
    """
    event: RemoveUIMessage = {"type": "remove-ui", "id": id}
    _publish(event, state_key)
    return event


def _publish(event: AnyUIMessage, state_key: str | None) -> None:
    from millstream.config import get_config, get_stream_writer

    get_stream_writer()(event)
    if state_key:
        get_config()[CONF][CONFIG_KEY_SEND]([(state_key, event)])


def ui_message_reducer(
    left: list[AnyUIMessage] | AnyUIMessage, right: list[AnyUIMessage] | AnyUIMessage
) -> list[AnyUIMessage]:
    """Append the parts of `right` to those of `left`; one with a known id replaces it.

    Metadata `merge` adds the new props to the old ones instead. A `RemoveUIMessage` deletes the
    part of its id and raises `ValueError` when there is none.
    """
    merged = list(left) if isinstance(left, list) else [left]
    added = right if isinstance(right, list) else [right]
    places = {part["id"]: place for place, part in enumerate(merged)}
    removed: set[str] = set()
    for part in added:
        place = places.get(part["id"])
        if part["type"] == "remove-ui":
            if place is None:
                raise ValueError(
                    "Attempting to delete an UI message with an ID that doesn't exist "
                    f"('{part['id']}')"
                )
            removed.add(part["id"])
        elif place is None:
            places[part["id"]] = len(merged)
            merged.append(part)
        else:
            removed.discard(part["id"])
            merged[place] = _replaced(merged[place], part)
    return [part for part in merged if part["id"] not in removed]


def _replaced(old: AnyUIMessage, new: UIMessage) -> UIMessage:
    if not (new.get("metadata") or {}).get("merge"):
        return new
    props = cast("dict[str, Any]", old.get("props", {}))
    return cast("UIMessage", {**new, "props": {**props, **new["props"]}})
