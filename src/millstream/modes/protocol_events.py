"""Protocol events: the shape in which everything travels through a run stream.

The names are those of the langchain protocol: a `method` says what kind of thing happened,
`params` where, when and what. An event has no `seq` and no `event_id` before it enters the log of
a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import NotRequired, TypedDict

from millstream._base.clock import current
from millstream.modes.names import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Mapping


class ProtocolEventParams(TypedDict):
    """Where, when and what."""

    namespace: list[str]
    """Path of the graph the event comes from, `[]` is the root."""
    timestamp: int
    """Milliseconds since the epoch."""
    data: Any
    """What a typed stream part of the mode has as its data."""
    interrupts: NotRequired[tuple[Any, ...]]
    """With `values`: the questions the state waits for."""


class ProtocolEvent(TypedDict):
    """One event of a run."""

    type: Literal["event"]
    event_id: NotRequired[str]
    """Unique; the same whoever reads the event."""
    seq: NotRequired[int]
    """Place in the log of the run, from 1."""
    method: str
    """The stream mode the event belongs to, or the channel it was pushed to."""
    params: ProtocolEventParams


def convert_to_protocol_event(part: Mapping[str, Any]) -> ProtocolEvent:
    """Turn a typed part, as `stream(version="v2")` yields them, into an event that happens now."""
    return protocol_event(part, int(current().timestamp() * 1000))


def protocol_event(part: Mapping[str, Any], timestamp: int) -> ProtocolEvent:
    """Turn a typed part into an event that happens then."""
    params: ProtocolEventParams = {
        "namespace": list(part["ns"]),
        "timestamp": timestamp,
        "data": part["data"],
    }
    if "interrupts" in part:
        params["interrupts"] = part["interrupts"]
    return {"type": "event", "method": part["type"], "params": params}


def as_event(item: Any) -> ProtocolEvent:
    """Return an event, or the event that a typed part is turned into."""
    event: ProtocolEvent = item if item["type"] == "event" else convert_to_protocol_event(item)
    return event


def is_delta(event: ProtocolEvent) -> bool:
    """Say whether an event is a piece of a message of a model: nothing begins or ends with it."""
    if event["method"] != MESSAGES:
        return False
    data = event["params"]["data"]
    # `(event, metadata)`; a transformer may have pushed anything else.
    said = data[0] if type(data) is tuple else None
    return type(said) is dict and said.get("event") == "content-block-delta"
