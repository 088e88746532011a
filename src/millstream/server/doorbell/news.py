"""What a ring says: where there is something new. What it is, is read from rows.

Everybody who may connect to the database can hear it. So it has kinds of things, and ids that tell
nobody anything.
"""

from __future__ import annotations

from typing import Final

import orjson

QUEUE: Final = "queue"
"""A run wants nothing but a slot."""
PUT_OFF: Final = "put_off"
"""A run was put off, or nobody is there any more who waits for its time, or for a slot."""
RUN: Final = "run"
"""A run has said something, has ended, is to stop, or is read elsewhere."""
THREAD: Final = "thread"
"""A run of a thread begins that is read elsewhere."""
STATE: Final = "state"
"""The state of a thread was changed without a run."""
MOST_IDS: Final = 150
"""Of how many things of one kind ids are kept: then it is said that all of them may be new."""
MOST_BYTES: Final = 7900
"""PostgreSQL takes 7999 as the payload of a notification."""


class News:
    """Kinds of things of which some are new, and which."""

    __slots__ = ("_kinds", "is_everything")

    def __init__(self, *, is_everything: bool = False) -> None:
        self._kinds: dict[str, set[str] | None] = {}
        """None where it may be any of a kind."""
        self.is_everything = is_everything
        """Nobody knows what was missed."""

    def __bool__(self) -> bool:
        return self.is_everything or bool(self._kinds)

    def add(self, kind: str, id: str | None = None) -> None:
        """Note that one thing of a kind is new, or any of them."""
        if id is None:
            self._kinds[kind] = None
            return
        ids = self._kinds.setdefault(kind, set())
        if ids is not None:
            ids.add(id)
            if len(ids) > MOST_IDS:
                self._kinds[kind] = None

    def discard(self, kind: str) -> None:
        """Forget what was noted of a kind."""
        self._kinds.pop(kind, None)

    def merge(self, other: News) -> None:
        """Note what others are noted to be, too."""
        self.is_everything |= other.is_everything
        for kind, ids in other._kinds.items():
            for id in (None,) if ids is None else ids:
                self.add(kind, id)

    def concerns(self, kind: str, id: str | None = None) -> bool:
        """Say whether something of a kind may be new, or this one of them."""
        if self.is_everything:
            return True
        if kind not in self._kinds:
            return False
        ids = self._kinds[kind]
        return id is None or ids is None or id in ids

    def ids(self, kind: str) -> frozenset[str] | None:
        """Return which things of a kind are new, None if any of them may be."""
        if self.is_everything:
            return None
        ids = self._kinds.get(kind, ())
        return None if ids is None else frozenset(ids)

    def payload(self, sender: str) -> str:
        """Return what is sent."""
        said: dict[str, object] = {"by": sender}
        if self.is_everything:
            said["all"] = True
        kinds = {kind: ids and sorted(ids) for kind, ids in self._kinds.items()}
        text = orjson.dumps({**said, "new": kinds})
        if len(text) > MOST_BYTES:
            text = orjson.dumps({**said, "new": dict.fromkeys(kinds)})
        if len(text) > MOST_BYTES:
            text = orjson.dumps({"by": sender, "all": True, "new": {}})
        return text.decode()


def read(payload: str) -> tuple[str, News]:
    """Return who has sent this, and what it says; what makes no sense may mean anything."""
    try:
        said = orjson.loads(payload)
        sender, kinds = said["by"], said["new"]
        news = News(is_everything=said.get("all", False) is True)
        for kind, ids in kinds.items():
            for id in (None,) if ids is None else ids:
                if not isinstance(id, (str, type(None))):
                    raise TypeError(type(id))
                news.add(kind, id)
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", News(is_everything=True)
    return str(sender), news
