"""Every form in which what a run said is given away, as functions of it.

| form | who gets it | encoder |
|---|---|---|
| version 1: bare payloads, or tuples with mode, namespace | `stream`, `invoke` | one of `PLAIN` |
| version 2: typed parts | `stream(version="v2")` | `encode_typed` |
| version 3: protocol events | run streams | `protocol_encoder`, or of a log `encode_protocol` |
| JSON | `millstream run --json`, and whatever goes over a wire | `encode_json` |

The others take an event, or a part where nobody keeps a log. A server-sent event is the JSON form
of an event, with its `seq` as id and its mode as name.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import INTERRUPT, START
from millstream.modes.event import Event, Said
from millstream.modes.names import CHECKPOINTS, DEBUG, VALUES
from millstream.modes.parts import Make
from millstream.modes.protocol_events import ProtocolEvent, protocol_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from millstream._base.clock import Clock
    from millstream.modes.parts import Encode, Part

PLAIN: Final[dict[tuple[bool, bool], Encode]] = {
    (False, False): itemgetter(2),
    (False, True): itemgetter(0, 2),
    (True, False): itemgetter(1, 2),
    (True, True): itemgetter(0, 1, 2),
}
"""Whether items have their mode, and their namespace -> how to encode them in version 1."""

MODES_WITH_STATE: Final = frozenset((VALUES, CHECKPOINTS, DEBUG))
"""What holds state, which has to be turned into the graph's own classes."""


def encoder(version: str, *, is_labelled: bool, has_subgraphs: bool) -> Encode:
    """Return the function that turns a part into what the consumer of a stream receives.

    Run streams replace it by a `protocol_encoder`, which needs to know the run.
    """
    if version == "v2":
        return encode_typed
    return PLAIN[is_labelled, has_subgraphs]


def encode_typed(said: Said) -> dict[str, Any]:
    """Encode as a `StreamPart` dict, the state turned into the graph's own classes."""
    namespace, mode, payload, shape = said[:4]
    item = {"type": mode, "ns": namespace, "data": payload}
    if mode == VALUES:
        interrupts: tuple[Any, ...] = ()
        if isinstance(payload, dict):
            if INTERRUPT in payload:
                # The payload is shared with other consumers, who see the questions in it.
                payload = dict(payload)
                interrupts = payload.pop(INTERRUPT)
            if shape is not None and shape.output is not None:
                payload = coerce(shape.output, payload)
            item["data"] = payload
        item["interrupts"] = interrupts
    elif shape is not None and shape.state is not None:
        if mode == CHECKPOINTS:
            item["data"] = _with_coerced_values(shape.state, payload)
        elif mode == DEBUG and payload["type"] == "checkpoint":
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
    # Before the input is in the state there may be no instance of its class.
    if START in checkpoint["next"] or not isinstance(values, dict):
        return checkpoint
    return {**checkpoint, "values": coerce(make, values)}


def encode_protocol(event: Event) -> ProtocolEvent:
    """Encode an event as a protocol event, with its `seq` and its time."""
    encoded = encode_protocol_at(event, event.timestamp)
    encoded["seq"] = event.seq
    return encoded


def protocol_encoder(clock: Clock) -> Encode:
    """Return the function that encodes a part as a protocol event that happens now."""
    return partial(_encode_now, clock.timestamp)


def _encode_now(time: Callable[[], float], part: Part) -> ProtocolEvent:
    return encode_protocol_at(part, int(time() * 1000))


def encode_protocol_at(said: Said, timestamp: int) -> ProtocolEvent:
    """Encode as a protocol event that happens then."""
    mode = said[1]
    # Only these pass through a typed part; the others are most of what run streams send.
    if mode in MODES_WITH_STATE:
        return protocol_event(encode_typed(said), timestamp)
    return {
        "type": "event",
        "method": mode,
        "params": {"namespace": list(said[0]), "timestamp": timestamp, "data": said[2]},
    }


def encode_json(said: Said) -> dict[str, Any]:
    """Encode as what JSON can hold: the `seq` of an event, `mode`, `ns` and `data`."""
    # Not at the top: nothing that runs graphs needs it.
    from millstream.modes.jsonable import to_jsonable

    place = {"seq": said.seq} if type(said) is Event else {}
    return {**place, "mode": said[1], "ns": list(said[0]), "data": to_jsonable(said[2])}
