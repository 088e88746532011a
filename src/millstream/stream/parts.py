"""Parts: the one internal shape of everything that is streamed, and its encodings.

An event of any nesting level travels as a plain tuple `(namespace, mode, payload, shape)`: a tuple
because one is made per event, and nothing is cheaper. `shape` belongs to the graph the event came
from and says which classes its state has. What a consumer receives - bare payloads, tuples or
typed dicts - is decided once per stream, by `encoder`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

from millstream.constants import INTERRUPT, START

Namespace: TypeAlias = tuple[str, ...]
"""Path of the graph an event comes from, one `node:task_id` per level; `()` is the root."""

Part: TypeAlias = tuple[Namespace, str, Any, "Shape | None"]
"""`(namespace, mode, payload, shape)`."""

Put: TypeAlias = Callable[[Part], None]
Make: TypeAlias = Callable[[dict[str, Any]], Any]
Encode: TypeAlias = Callable[[Part], Any]

MODES: Final = ("values", "updates", "checkpoints", "tasks", "debug", "messages", "custom")
MODE_OF_TOOLS: Final = "tools"
"""Has no projector: it is heard among the callbacks of tasks."""
VERSIONS: Final = ("v1", "v2")
VERSION_OF_EVENTS: Final = "v3"
"""Protocol events, for run streams only; see `stream.protocol`."""


class RunStreamMode(str):
    """A mode of a stream that a run stream reads as typed parts, through a replaced `stream`.

    It is like the text, for whoever looks at the modes on the way.
    """

    __slots__ = ()


@dataclasses.dataclass(slots=True, frozen=True)
class Shape:
    """What makes instances of the classes of a graph's state, None where it is a plain dict."""

    output: Make | None = None
    state: Make | None = None


def check_modes(modes: Iterable[str]) -> None:
    """Refuse unknown stream modes with a `ValueError` that names the valid ones."""
    for mode in modes:
        if mode not in MODES and mode != MODE_OF_TOOLS and type(mode) is not RunStreamMode:
            known = ", ".join((*MODES, MODE_OF_TOOLS))
            raise ValueError(f"Unknown stream mode {mode!r}; use one or more of {known}")


def check_version(version: str) -> None:
    """Refuse an unknown stream version with a `ValueError` that names the valid ones."""
    if version not in VERSIONS:
        raise ValueError(f"Unknown stream version {version!r}; use one of {', '.join(VERSIONS)}")


def encoder(version: str, *, is_labelled: bool, has_subgraphs: bool) -> Encode:
    """Return the function that turns a part into what the consumer receives."""
    if version == "v2":
        return encode_typed
    if version == VERSION_OF_EVENTS:
        # Not at the top: protocol events are made of typed parts.
        from millstream.stream.protocol import encode_event

        return encode_event
    return ENCODERS[is_labelled, has_subgraphs]


ENCODERS: Final[dict[tuple[bool, bool], Encode]] = {
    (False, False): itemgetter(2),
    (False, True): itemgetter(0, 2),
    (True, False): itemgetter(1, 2),
    (True, True): itemgetter(0, 1, 2),
}
"""Whether items have their mode, and their namespace -> how to encode them."""


def encode_typed(part: Part) -> dict[str, Any]:
    """Encode a part as a `StreamPart` dict, its state turned into the graph's own classes."""
    namespace, mode, payload, shape = part
    item = {"type": mode, "ns": namespace, "data": payload}
    if mode == "values":
        interrupts: tuple[Any, ...] = ()
        if isinstance(payload, dict):
            if INTERRUPT in payload:
                payload = dict(payload)
                interrupts = payload.pop(INTERRUPT)
            if shape is not None and shape.output is not None:
                payload = coerce(shape.output, payload)
            item["data"] = payload
        item["interrupts"] = interrupts
    elif shape is not None and shape.state is not None:
        if mode == "checkpoints":
            item["data"] = _with_coerced_values(shape.state, payload)
        elif mode == "debug" and payload["type"] == "checkpoint":
            inner = _with_coerced_values(shape.state, payload["payload"])
            item["data"] = {**payload, "payload": inner}
    return item


def coerce(make: Make, values: dict[str, Any]) -> Any:
    """Make an instance of the state class.

    Values that do not make a valid instance (yet) are returned as they are: watching a run never
    ends it.
    """
    try:
        return make(values)
    except Exception:
        return values


def _with_coerced_values(make: Make, checkpoint: dict[str, Any]) -> dict[str, Any]:
    values = checkpoint["values"]
    if START in checkpoint["next"] or not isinstance(values, dict):
        return checkpoint
    return {**checkpoint, "values": coerce(make, values)}


def format_part(part: Part, *, has_subgraphs: bool) -> str:
    """Format a part as one line for `print_mode`, with the terminal codes programs expect."""
    namespace, mode, payload, _ = part
    line = f"\x1b[1m[{mode}]\x1b[0m "
    if has_subgraphs and namespace:
        line += f"\x1b[1;30;33m[graph={namespace}]\x1b[0m "
    return f"{line}{payload!r}"


def as_modes(modes: str | Collection[str]) -> Sequence[str]:
    """Return the requested modes as a sequence."""
    return (modes,) if isinstance(modes, str) else tuple(modes)
