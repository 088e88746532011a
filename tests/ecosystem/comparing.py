"""Whether two plays of a scenario saw the same; what is left out of that, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Event = list[Any]
"""A label and what was seen."""

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HEX32: Final = r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
_ID: Final = re.compile(f"{_UUID}|{_HEX32}")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)")
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_ENDS: Final = ("completed", "failed", "interrupted", "drained")
"""How a nested graph can end."""


def lines(events: list[Event], leaving_out: frozenset[str] = frozenset()) -> list[str]:
    """Return a line of text for each event, without the differences of these names.

    Ids are numbered as they appear, so that what refers to what is compared. The order of the keys
    of a dict is not: LangGraph fills some of them from sets.
    """
    seen: dict[str, str] = {}

    def placeholder(found: re.Match[str]) -> str:
        return seen.setdefault(found[0], f"<id {len(seen) + 1}>")

    events = [[label, _without_noise(value)] for label, value in events]
    for name in sorted(leaving_out):
        events = DIFFERENCES[name].leave_out(events)
    found = []
    for label, value in events:
        text = f"{label} {json.dumps(value, sort_keys=True, ensure_ascii=False)}"
        text = _ADDRESS.sub("", _TIMESTAMP.sub("<time>", text))
        found.append(_ID.sub(placeholder, text))
    return found


def differences_between(theirs: list[Event], ours: list[Event]) -> tuple[str, ...] | None:
    """Return the names of what must be left out to see the same; None if that is not enough."""
    if lines(theirs) == lines(ours):
        return ()
    everything = frozenset(DIFFERENCES)
    if lines(theirs, everything) != lines(ours, everything):
        return None
    needed = set(everything)
    for name in sorted(everything):
        fewer = frozenset(needed - {name})
        if lines(theirs, fewer) == lines(ours, fewer):
            needed.discard(name)
    return tuple(sorted(needed))


def _without_noise(value: Any) -> Any:
    """Leave out ids of messages that an engine made up, and clocks.

    A message gets its id while others may look at it already: whether an event shows it is a
    matter of timing with LangGraph.
    """
    if isinstance(value, list):
        return [_without_noise(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _without_noise(inner) for key, inner in value.items() if key != "timestamp"}
    if _is_message(value) and _ID.fullmatch(value.get("id") or ""):
        kept["id"] = None
    return {key: inner for key, inner in kept.items() if key != "id" or inner is not None}


def _is_message(value: dict[str, Any]) -> bool:
    return "<message>" in value or {"content", "additional_kwargs"} <= value.keys()


def _everywhere(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    """Return a function that changes every dict in what it is given."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        if isinstance(value, dict):
            return change({key: walk(inner) for key, inner in value.items()})
        return value

    return walk


def _state_as_said(message: dict[str, Any]) -> dict[str, Any]:
    """Give a message that LangGraph turned into blocks the text it was said with."""
    said = message.get("response_metadata")
    content = message.get("content")
    if not isinstance(said, dict) or said.get("output_version") != "v1":
        return message
    if not isinstance(content, list):
        return message
    told = {"type": "text"}, {"type": "tool_call"}
    if not all({"type": block["type"]} in told for block in content):
        return message
    text = "".join(block.get("text", "") for block in content)
    metadata = {key: value for key, value in said.items() if key != "output_version"}
    return {**message, "content": text, "response_metadata": metadata}


def _is_run_event(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "event" and "method" in value


def _without_event_id(event: dict[str, Any]) -> dict[str, Any]:
    if _is_run_event(event):
        return {key: value for key, value in event.items() if key != "event_id"}
    return event


def _started_first(events: list[Event]) -> list[Event]:
    """Put the start of a nested graph before what it shows first."""
    moved = list(events)
    for event in [event for event in events if _lifecycle(event) == "started"]:
        inside = _inside(moved, event)
        if inside and inside[0] < moved.index(event):
            moved.remove(event)
            moved.insert(inside[0], event)
    return _numbered(moved, events)


def _ended_at_once(events: list[Event]) -> list[Event]:
    """Put the end of a nested graph behind what it shows last."""
    moved = list(events)
    for event in [event for event in events if _lifecycle(event) in _ENDS]:
        inside = _inside(moved, event)
        if inside and inside[-1] < moved.index(event):
            moved.remove(event)
            moved.insert(inside[-1] + 1, event)
    return _numbered(moved, events)


def _lifecycle(event: Event) -> str | None:
    """Return what an event says of a nested graph."""
    value = event[1]
    if not _is_run_event(value) or value["method"] != "lifecycle":
        return None
    said: str | None = value["params"]["data"].get("event")
    return said


def _inside(events: list[Event], about: Event) -> list[int]:
    """Return where events of the nested graph are that a lifecycle event is about."""
    namespace = about[1]["params"]["data"]["namespace"]
    return [
        index
        for index, (_, value) in enumerate(events)
        if _is_run_event(value) and value["params"]["namespace"][: len(namespace)] == namespace
    ]


def _numbered(moved: list[Event], events: list[Event]) -> list[Event]:
    """Give events that were moved the numbers of the places where they are now."""
    numbered = []
    for (label, value), (_, before) in zip(moved, events, strict=True):
        if _is_run_event(value) and _is_run_event(before) and "seq" in before:
            value = {**value, "seq": before["seq"]}
        numbered.append([label, value])
    return numbered


def _streamed_at_once(events: list[Event]) -> list[Event]:
    """Put a chunk of a nested graph before the start of that graph's next node.

    A front end that is told of steps hears of the next one together with that start.
    """
    events = list(events)
    for index in range(1, len(events)):
        chunk, start = _langchain_event(events[index]), _langchain_event(events[index - 1])
        if chunk.get("event") != "on_chain_stream" or start.get("event") != "on_chain_start":
            continue
        if chunk.get("run_id") not in start.get("parent_ids", ()):
            continue
        first = index - 1
        while "step_name" in _seen(events[first - 1]):
            first -= 1
        events.insert(first, events.pop(index))
    return events


def _seen(event: Event) -> dict[str, Any]:
    return event[1] if isinstance(event[1], dict) else {}


def _langchain_event(event: Event) -> dict[str, Any]:
    value = _seen(event)
    return value["event"] if isinstance(value.get("event"), dict) else value


@dataclass(frozen=True)
class Difference:
    """A deliberate difference from LangGraph that a scenario may show."""

    heading: str
    """Where docs/compatibility.md gives the reason."""
    leave_out: Callable[[list[Event]], list[Event]]


DIFFERENCES: Final = {
    "state-as-said": Difference(
        "Watching a run does not change its state", _everywhere(_state_as_said)
    ),
    "event-ids": Difference("Every event of a run has an id", _everywhere(_without_event_id)),
    "children-start-first": Difference(
        "A nested graph starts before its first values", _started_first
    ),
    "own-end": Difference("A nested graph ends as it ends itself", _ended_at_once),
    "chunks-at-once": Difference(
        "astream_events shows what a nested graph streams at once", _streamed_at_once
    ),
}
