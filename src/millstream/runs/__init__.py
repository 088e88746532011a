"""The log of what a run says: `log` has it and its readers, `bell` how readers wait.

Nothing here knows what drives a run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.modes.event import Event
    from millstream.runs.log import EventLog, EventReader, MemoryLog

_HOMES = {
    "Event": "millstream.modes.event",
    "EventLog": "millstream.runs.log",
    "EventReader": "millstream.runs.log",
    "MemoryLog": "millstream.runs.log",
}
"""Where the names are; imported when first used, because most programs need none of them."""

__all__ = ("Event", "EventLog", "EventReader", "MemoryLog")


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
