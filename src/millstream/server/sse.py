"""Server-sent events: frames, without I/O.

A frame ends lines with CRLF, has its data in one line and its id, if it has one, last. So a frame
without an id becomes one with an id by what is put before its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

HEARTBEAT: Final = b": heartbeat\r\n\r\n"
"""A comment, which clients measure the connection by."""
END: Final = b"\r\n\r\n"
_LINE_ENDS: Final = re.compile("[\r\n\0]")
_FRAME: Final = re.compile(rb"event: ([^\r\n]*)\r\ndata: ([^\r\n]*)")


def frame(name: str, data: bytes) -> bytes:
    """Return an event whose data are JSON in one line."""
    return b"event: %b\r\ndata: %b\r\n\r\n" % (_in_one_line(name), data)


def events_in(frames: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the names and data of events that were framed here; signs of life are none."""
    for name, data in _FRAME.findall(frames):
        yield name.decode(), orjson.loads(data)


def with_id(event: bytes, id: str) -> bytes:
    """Return a frame with an id."""
    return b"%bid: %b\r\n\r\n" % (event[:-2], _in_one_line(id))


def without_id(event: bytes) -> bytes:
    """Return a frame without its id."""
    place = event.rfind(b"\n", 0, -len(END)) + 1
    return event[:place] + b"\r\n" if event.startswith(b"id:", place) else event


def parsed(event: bytes) -> tuple[str, bytes]:
    """Return the name of a frame, and its data."""
    lines = dict(line.split(b": ", 1) for line in event.split(b"\r\n") if b": " in line)
    return lines[b"event"].decode(), lines[b"data"]


def event_name(mode: str, namespace: tuple[str, ...]) -> str:
    """Return the name of an event of a graph in a graph: `mode|node:task|node:task`."""
    return "|".join((mode, *namespace)) if namespace else mode


def _in_one_line(text: str) -> bytes:
    # Names of nodes are the program's: a line end in one of them would begin another field.
    if not text.isprintable():
        text = _LINE_ENDS.sub(" ", text)
    return text.encode("utf-8", "replace")
