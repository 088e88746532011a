"""What nodes give to their stream writer, as events of AG-UI.

A dict that is an activity or a provider's own event is told as such; all else is `CUSTOM`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from millstream.protocols.agui_state import AgentEvent

PREFIX: Final = "millstream."
"""Names without a prefix are the protocol's own."""
CUSTOM: Final = f"{PREFIX}custom"
PROGRESS: Final = f"{PREFIX}tool-output-delta"
SOURCE: Final = f"{PREFIX}source"


class Written:
    """Tells what nodes write; knows which activities there are, as they can be changed."""

    def __init__(self) -> None:
        self._activities: set[str] = set()

    def tell(self, data: Any, subagent: str | None) -> AgentEvent:
        """Return the event of something that was written in a subagent, or in none."""
        owner = {} if subagent is None else {"subagentRunId": subagent}
        if isinstance(data, Mapping):
            told = _FORMS.get(str(data.get("type")), _none)(data)
            if told is not None and self._is_in_order(told):
                # Who goes on with an activity need not be the one who has begun it.
                return told if told["type"] == "ACTIVITY_DELTA" else {**told, **owner}
            if data.keys() == {"name", "payload"}:
                name = str(data["name"])
                return {"type": "CUSTOM", "name": name, "value": data["payload"], **owner}
        return {"type": "CUSTOM", "name": CUSTOM, "value": data, **owner}

    def _is_in_order(self, told: AgentEvent) -> bool:
        if told["type"] == "ACTIVITY_SNAPSHOT":
            self._activities.add(told["messageId"])
        return told["type"] != "ACTIVITY_DELTA" or told["messageId"] in self._activities


def _none(data: Mapping[str, Any]) -> AgentEvent | None:
    return None


def _activity(data: Mapping[str, Any]) -> AgentEvent | None:
    if not _names_activity(data) or not isinstance(data.get("content"), Mapping):
        return None
    told = {name: data[name] for name in ("type", "messageId", "activityType", "content")}
    return {**told, "replace": False} if data.get("replace") is False else told


def _activity_change(data: Mapping[str, Any]) -> AgentEvent | None:
    changes = data.get("patch")
    if not _names_activity(data) or not isinstance(changes, list):
        return None
    if not all(map(_is_operation, changes)):
        return None
    return {name: data[name] for name in ("type", "messageId", "activityType", "patch")}


def _raw(data: Mapping[str, Any]) -> AgentEvent | None:
    if "event" not in data:
        return None
    told = {"type": "RAW", "event": data["event"]}
    return {**told, "source": data["source"]} if isinstance(data.get("source"), str) else told


def _names_activity(data: Mapping[str, Any]) -> bool:
    return all(isinstance(data.get(name), str) for name in ("messageId", "activityType"))


def _is_operation(change: Any) -> bool:
    if not isinstance(change, Mapping) or not _is_pointer(change.get("path")):
        return False
    needed = _NEEDED.get(str(change.get("op")))
    if needed == "from":
        return _is_pointer(change.get("from"))
    return needed is not None and (needed == "" or needed in change)


def _is_pointer(path: Any) -> bool:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        return False
    return "~" not in path.replace("~0", "").replace("~1", "")


_NEEDED: Final[Mapping[str, str]] = {
    "add": "value",
    "remove": "",
    "replace": "value",
    "move": "from",
    "copy": "from",
    "test": "value",
}
"""The operations of patches, and what each has besides its path: RFC 6902."""
_FORMS: Final[Mapping[str, Callable[[Mapping[str, Any]], AgentEvent | None]]] = {
    "ACTIVITY_SNAPSHOT": _activity,
    "ACTIVITY_DELTA": _activity_change,
    "RAW": _raw,
}
