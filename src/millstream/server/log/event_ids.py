"""Ids of events, `<ms>-<seq>`: when it was said, and its place in the log of its run.

`seq` counts the events of one run without holes. The time never goes back within a run, and not
from one run of a thread to the next. So ids are in order as pairs of numbers, within a run as
within a thread, also when a run was taken up again whose last events were lost: what is said then
has a later time. No clock has to be right for that: when a run ends, the time of its last event is
stored in its thread (`state_updated_at`, which never goes back), and the next one begins after it.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

EventId: TypeAlias = tuple[int, int]

START: Final[EventId] = (0, 0)
"""Before all events."""
_FORM: Final = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?", re.ASCII)


def parse_id(text: str) -> EventId:
    """Return the place that a `Last-Event-ID` names: what follows it was not seen.

    `-1`, `0` and nothing stand for the beginning. Raises `ValueError` for what is no id.
    """
    text = text.strip()
    if text in ("", "-1"):
        return START
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f"Invalid last-event-id: must be the id of an event, such as 1795217299192-3, or -1 "
            f"for all events, got {text[:50]!r}"
        )
    return int(found[1]), int(found[2] or 0)


def format_id(id: EventId) -> str:
    """Return an id as clients get it."""
    return f"{id[0]}-{id[1]}"
