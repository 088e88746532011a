"""What a client of AG-UI has of the state, and what it has to be told when that has changed.

The first thing that it is told is all of it; after that a patch, unless all of it is shorter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from millstream.modes.jsonable import to_jsonable
from millstream.protocols.contents import attribute
from millstream.protocols.lines import dumps
from millstream.protocols.patches import Operation, patch, pointer

MESSAGES: Final = "messages"
"""The key of the state that is not shown as such: it is what the other events tell."""
REFUSED: Final = ("/__proto__", "/constructor/prototype")
"""What clients in JavaScript refuse to patch: it could change what all objects have."""

AgentEvent = dict[str, Any]


class KnownState:
    """The state as a client has it."""

    def __init__(self) -> None:
        self._told: Any = None
        """The JSON of the state, by its keys; None as long as nothing was told."""
        self._messages: dict[str, Any] | None = None
        """The messages of the state, by their ids."""

    def tell(self, values: Any) -> AgentEvent | None:
        """Return the event that tells what has changed; None if nothing has."""
        if isinstance(values, Mapping):
            if not all(type(key) is str for key in values):
                values = to_jsonable(values)
            values = {key: value for key, value in values.items() if key != MESSAGES}
            now: Any = {key: dumps(value) for key, value in values.items()}
        else:
            now = dumps(values)
        before, self._told = self._told, now
        if before == now:
            return None
        if isinstance(before, dict) and isinstance(now, dict):
            operations = _changes(before, now)
            if operations == []:
                return None
            if operations is not None:
                return {"type": "STATE_DELTA", "delta": operations}
        return {"type": "STATE_SNAPSHOT", "snapshot": values}

    def has_lost_messages(self, messages: Sequence[Any]) -> bool:
        """Say whether messages that were in the state have gone from it, or have become others."""
        ids = (attribute(one, "id") for one in messages)
        now = {str(id): one for id, one in zip(ids, messages, strict=True) if id is not None}
        before, self._messages = self._messages, now
        if before is None:
            return False
        found = ((now.get(id), one) for id, one in before.items())
        return any(after is not one and after != one for after, one in found)


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[Operation] | None:
    """Return the patch between two states; None if all of the state is shorter, or safer."""
    found: list[Operation] = [
        {"op": "remove", "path": pointer("", key)} for key in before if key not in now
    ]
    try:
        for key, text in now.items():
            if key not in before:
                found.append({"op": "add", "path": pointer("", key), "value": json.loads(text)})
            elif text != before[key]:
                old, new = json.loads(before[key]), json.loads(text)
                found.extend(patch(old, new, pointer("", key)))
    except RecursionError:
        return None
    if any(refused in each["path"] for each in found for refused in REFUSED):
        return None
    whole = sum(len(key) + len(text) + 4 for key, text in now.items())
    return found if len(dumps(found)) < whole or not found else None
