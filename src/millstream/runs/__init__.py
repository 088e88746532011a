"""Runs that go on by themselves: handles, and the log of events that they are watched by.

`handle` is what `graph.start` returns, `log` what a run says there and who reads it, `bell` how
readers wait, in threads and in event loops. `life` is the thread or the asyncio task in which the
run goes on. What drives a run does not stand here: `life` reads the stream of a `Source`, as any
other reader would.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.modes.event import Event
    from millstream.runs.handle import RunHandle
    from millstream.runs.life import HandleStatus
    from millstream.runs.log import EventLog, EventReader, MemoryLog

_HOMES = {
    "Event": "millstream.modes.event",
    "EventLog": "millstream.runs.log",
    "EventReader": "millstream.runs.log",
    "HandleStatus": "millstream.runs.life",
    "MemoryLog": "millstream.runs.log",
    "RunHandle": "millstream.runs.handle",
}
"""Where the names are; imported when first used, because most programs need none of them."""

__all__ = ("Event", "EventLog", "EventReader", "HandleStatus", "MemoryLog", "RunHandle")


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
