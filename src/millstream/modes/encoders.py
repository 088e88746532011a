"""Every form in which what a run said is given away, as functions of it.

| form | who gets it | encoder |
|---|---|---|
| version 1: bare payloads, or tuples with mode, namespace | `stream`, `invoke` | one of `PLAIN` |
| version 2: typed parts | `stream(version="v2")` | `encode_typed` |
| version 3: protocol events | run streams | `encode_protocol` |
| JSON | `millstream run --json`, and whatever goes over a wire | `encode_json` |

All of them take an event, or a part where nobody keeps a log. A server-sent event is the JSON form
of an event, with its `seq` as id and its mode as name.
"""

from __future__ import annotations

from operator import itemgetter
from time import time
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import INTERRUPT, START
from millstream.modes.event import Event, Said
from millstream.modes.names import CHECKPOINTS, DEBUG, VALUES
from millstream.modes.parts import VERSION_OF_EVENTS, Make
from millstream.modes.protocol_events import ProtocolEvent, convert_to_protocol_event

if TYPE_CHECKING:
    from millstream.modes.parts import Encode

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
    """Return the function that turns a part into what the consumer of a stream receives."""
    if version == "v2":
        return encode_typed
    if version == VERSION_OF_EVENTS:
        return encode_protocol
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


def encode_protocol(said: Said) -> ProtocolEvent:
    """Encode as a protocol event: of an event with its `seq`, of a part as one that happens now."""
    mode = said[1]
    # Only these pass through a typed part; the others are most of what run streams send.
    if mode in MODES_WITH_STATE:
        encoded = convert_to_protocol_event(encode_typed(said))
    else:
        encoded = {
            "type": "event",
            "method": mode,
            "params": {
                "namespace": list(said[0]),
                "timestamp": int(time() * 1000),
                "data": said[2],
            },
        }
    if type(said) is Event:
        encoded["seq"] = said.seq
        encoded["params"]["timestamp"] = said.timestamp
    return encoded


def encode_json(said: Said) -> dict[str, Any]:
    """Encode as what JSON can hold: the `seq` of an event, `mode`, `ns` and `data`."""
    # Not at the top: nothing that runs graphs needs it.
    from millstream.modes.jsonable import to_jsonable

    place = {"seq": said.seq} if type(said) is Event else {}
    return {**place, "mode": said[1], "ns": list(said[0]), "data": to_jsonable(said[2])}
