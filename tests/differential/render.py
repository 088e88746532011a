"""Turn anything a graph emits into one line of text that is equal on both engines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HEX32: Final = r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"
_TIMESTAMP: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)"
_ADDRESS: Final = r" at 0x[0-9a-fA-F]+"
_ID: Final = re.compile(f"{_UUID}|{_HEX32}")
_NOISE: Final = re.compile(f"({_TIMESTAMP})|({_ADDRESS})")
_ROOT: Final = re.compile(r"\b(?:langgraph|millstream)\.(?=[a-z_]+\b)")
_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))
_MESSAGE_FIELDS: Final = (
    "content",
    "name",
    "id",
    "tool_calls",
    "tool_call_chunks",
    "tool_call_id",
    "status",
    "chunk_position",
)


def render(value: Any) -> str:
    """Return a text for `value` that leaves out modules, memory addresses and timestamps."""
    text = _NOISE.sub(lambda found: "<time>" if found[1] else "", _text(value))
    return _ROOT.sub("<root>.", text)


def render_raised(error: BaseException) -> str:
    """Return a text for an exception that ended a run, with the notes that both libraries have."""
    notes = [
        f"note {note}" for note in getattr(error, "__notes__", ()) if note.startswith("During task")
    ]
    return " | ".join([render(error), *notes])


def mask(line: str) -> str:
    """Return `line` with every id replaced by one and the same placeholder."""
    return _ID.sub("<id>", line)


def number(lines: Iterable[str]) -> list[str]:
    """Replace ids by placeholders numbered in order of first appearance in the transcript."""
    seen: dict[str, str] = {}

    def placeholder(found: re.Match[str]) -> str:
        return seen.setdefault(found[0], f"<id{len(seen) + 1}>")

    return [_ID.sub(placeholder, line) for line in lines]


def _text(value: Any) -> str:
    kind = type(value)
    if kind in _PLAIN:  # most are: the rest looks at each kind in turn
        return repr(value)
    if kind is dict:
        return _mapping(value)
    if kind is list:
        return "[" + ", ".join(map(_text, value)) + "]"
    if value is None or (isinstance(value, (bool, int, float, str, bytes)) and not _is_enum(value)):
        return repr(value)
    if isinstance(value, BaseException):
        # Notes are added while an exception travels, so they count only once it has arrived.
        return f"{type(value).__name__}({str(value)!r})"
    if isinstance(value, type):
        return f"<class {value.__name__}>"
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, tuple):
        return _tuple(value)
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_text, value))) + "}"
    return _object(value)


def _mapping(value: Mapping[Any, Any]) -> str:
    return "{" + ", ".join([f"{_text(k)}: {_entry(k, v)}" for k, v in value.items()]) + "}"


def _entry(key: Any, value: Any) -> str:
    if key in ("configurable", "metadata") and isinstance(value, Mapping):
        # Bags of settings, filled from sets: their order differs from process to process.
        return _text(dict(sorted(value.items(), key=str)))
    return _text(value)


def _is_enum(value: Any) -> bool:
    return isinstance(value, Enum)


def _tuple(value: tuple[Any, ...]) -> str:
    if len(value) == 2 and isinstance(value[0], BaseMessage) and isinstance(value[1], dict):
        # A message of the stream: its metadata is a bag as well.
        return f"({_text(value[0])}, {_entry('metadata', value[1])})"
    names = getattr(value, "_fields", None)
    if names:
        return _fields(value, names)
    return "(" + ", ".join(map(_text, value)) + (",)" if len(value) == 1 else ")")


def _object(value: Any) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, BaseMessage):
        return _fields(value, [name for name in _MESSAGE_FIELDS if _is_shown(value, name)])
    if dataclasses.is_dataclass(value):
        return _fields(value, [f.name for f in dataclasses.fields(value)])
    if isinstance(value, BaseModel):
        return _fields(value, type(value).model_fields)
    slots = getattr(type(value), "__slots__", ())
    if slots and not isinstance(slots, str) and not callable(value):
        return _fields(value, [name for name in sorted(slots) if hasattr(value, name)])
    name = getattr(value, "__name__", None)
    return f"<{type(value).__name__}{f' {name}' if name else ''}>"


def _is_shown(message: BaseMessage, name: str) -> bool:
    # An id that an engine made up is left out: whether an item of `updates` already has it is a
    # matter of timing with langgraph. `messages.ids_at_once` is about that.
    shown = getattr(message, name, None)
    return bool(shown) and not (name == "id" and re.fullmatch(_UUID, shown))


def _fields(value: Any, names: Iterable[str]) -> str:
    inside = ", ".join(f"{name}={_text(getattr(value, name))}" for name in names)
    return f"{type(value).__name__}({inside})"
