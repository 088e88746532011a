"""What is written on a picture, and how much room it takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_core.runnables.graph import Edge, Node

from millstream._base.texts import visible
from millstream.constants import END, START

_NAME: Final = 26
_LABEL: Final = 22
"""Characters after which a name, and a label, goes on in another line."""
_LINES: Final = 3
_NOTE: Final = 34
_NOTES: Final = 4
_UNSHOWABLE: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
_BREAKS: Final = re.compile(r"(?<=[\s_\-./,:])|(?<=[a-z0-9])(?=[A-Z])")
_NARROW: Final = frozenset("ijl|!.,:;'`")
_SLIM: Final = frozenset('frt()[]{}/\\-*" ')
_BROAD: Final = frozenset("mwMW@%&")


def harmless(text: str) -> str:
    """Return a text that can be part of any document, if what the document obeys is escaped."""
    return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", visible(text))


def shown(text: object) -> str:
    """Return a harmless text on one line."""
    return " ".join(harmless(str(text)).split())


def cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str, size: float) -> float:
    """Return about how wide a text is in a sans-serif face, in pixels."""
    return size * sum(_ems(character) for character in text)


def _ems(character: str) -> float:
    if character in _NARROW:
        return 0.32
    if character in _SLIM:
        return 0.42
    if character in _BROAD:
        return 0.95
    if character.isupper():
        return 0.72
    return (0.0, 0.62, 1.05)[_cells(character)]


def node_lines(node: Node) -> list[str]:
    """Return the name of a node, in lines."""
    name = {START: "START", END: "END"}.get(node.name, node.name)
    return _wrapped(shown(name) or "?", _NAME)


def edge_lines(edge: Edge) -> list[str]:
    """Return the label of an edge, in lines; none if it has no label."""
    return _wrapped(shown(edge.data), _LABEL) if edge.data is not None else []


def notes(metadata: Mapping[str, Any] | None) -> list[str]:
    """Return what a node's metadata say, in lines that are short."""
    lines = [shown(line) for line in _noted(metadata or {})]
    more = len(lines) - _NOTES
    if more > 1:
        lines[_NOTES:] = [f"and {more} more"]
    return [line if len(line) <= _NOTE else f"{line[: _NOTE - 1]}…" for line in lines if line]


def _noted(metadata: Mapping[str, Any]) -> Iterator[str]:
    for key, value in metadata.items():
        if key == "__interrupt":
            yield f"pauses {str(value).replace(',', ' and ')}"
        elif key == "__tools":
            yield f"tools: {', '.join(map(str, value))}"
        elif key == "defer" and value is True:
            yield "waits for all others"
        elif isinstance(value, (str, int, float)):
            yield f"{key} = {value}"


def _wrapped(text: str, room: int) -> list[str]:
    lines = [""]
    for part in _BREAKS.split(text):
        while part:
            free = room - len(lines[-1])
            if len(part.rstrip()) > free and lines[-1]:
                lines.append("")
                continue
            lines[-1] += part[:room]
            part = part[room:]
    lines = [line.strip() for line in lines if line.strip()]
    if len(lines) > _LINES:
        lines[_LINES - 1 :] = [f"{lines[_LINES - 1][: room - 1]}…"]
    return lines
