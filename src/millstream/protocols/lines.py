"""Lines of server-sent events, in which all these protocols are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from millstream.modes.jsonable import to_jsonable

HEADERS: Final[Mapping[str, str]] = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
"""What a response has to say that its body is a stream."""
DONE: Final = "data: [DONE]\n\n"
"""What ends a stream, in protocols that say so."""


def line(data: Mapping[str, Any]) -> str:
    """Return an event without a name; what JSON does not have becomes what it has."""
    return f"data: {dumps(data)}\n\n"


def named_line(name: str, data: Mapping[str, Any]) -> str:
    """Return an event with a name."""
    return f"event: {name}\ndata: {dumps(data)}\n\n"


def dumps(data: Any) -> str:
    """Return JSON, in one line."""
    try:
        return orjson.dumps(data).decode()
    except (TypeError, ValueError, RecursionError):
        plain = to_jsonable(data)
    try:
        return orjson.dumps(plain).decode()
    except (TypeError, ValueError, RecursionError):
        # Integers beyond 64 bits, and halves of surrogate pairs.
        return json.dumps(plain)
