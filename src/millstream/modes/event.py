"""`Event`: one thing that a run said, with its place in the run's log.

Inside a run everything travels as a plain tuple without a place, a `Part`: one part may go to the
consumers of several runs around each other, each of which counts for itself, and most of them keep
no log at all. So a part becomes an event where it is logged. Where nothing is logged that costs
nothing: a tuple is made in 50 ns, an instance of any class in 300 or more, and every superstep of a
stream makes one or several.

The first fields of an event are those of a part, in the same places. So what encodes the one
encodes the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from millstream.modes.parts import Namespace, Part

if TYPE_CHECKING:
    from millstream.modes.parts import Shape


class Event(NamedTuple):
    """One thing that a run said. Readers share it: nobody changes its `data`."""

    namespace: Namespace
    """Path of the graph it comes from, one `node:task_id` per level; `()` is the graph itself."""
    mode: str
    """The stream mode it belongs to."""
    data: Any
    """What a stream of that mode yields."""
    shape: Shape | None
    """What makes instances of the classes of the graph's state; None where that is not known."""
    seq: int
    """Its place in the log of the run: 1, 2, 3, ..."""
    timestamp: int
    """When it was logged, milliseconds since the epoch."""

    def __repr__(self) -> str:
        place = f", namespace={self.namespace!r}" if self.namespace else ""
        return f"Event(seq={self.seq}, mode={self.mode!r}, data={self.data!r}{place})"


Said: TypeAlias = Part | Event
"""What can be encoded: an event, or what will not be one because nobody keeps a log."""


def logged(part: Part, seq: int, timestamp: int) -> Event:
    """Return a part as an event in its place."""
    # The class's own way to be made takes twice as long.
    return tuple.__new__(Event, (*part, seq, timestamp))
