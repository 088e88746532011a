"""Values in a stimulus log: JSON that says the same, where there is any.

JSON's own values stand for themselves. What the core looks into (tuples, sets, Sends, commands,
interrupts) is an object with one key that begins with `$`. Any other value is what a saver would
store of it, with its text for who reads the log; if a saver cannot store it, the text is all there
is, and a replay has an `Unreadable` in its place.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import xxhash
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from millstream._base.texts import safe_repr, safe_str
from millstream.constants import MISSING
from millstream.errors import GraphBubbleUp, ParentCommand
from millstream.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy

Json: TypeAlias = Any

MAX_DEPTH: Final = 100
"""What is nested deeper is a text: JSON is not read much deeper than that."""
MAX_TEXT: Final = 200
"""Characters of a text that stands beside what a saver would store."""
SERIALIZER: Final = JsonPlusSerializer()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value of which a log has no more than the text, or may not be read more."""

    text: str
    kind: str
    """The name of its class."""


class RecordedError(Exception):
    """Stands for an error of a task; its text is the error's class and message."""


class RecordedSignal(GraphBubbleUp):
    """Stands for an error that is none to its graph: a handler is not for it."""


class RecordedExit(BaseException):
    """Stands for what ends more than a run: Ctrl-C, a cancellation."""


def encode(value: Any) -> Json:
    """Return the JSON for a value; never raises."""
    return _convert(value, (), as_stored, as_text)


def digest(value: Any) -> str:
    """Return a short text that is the same for values that are alike.

    Of objects of other classes only the class counts: what a saver would store of them need not be
    the same twice.
    """
    outline = _convert(value, (), _as_class, _as_class)
    return xxhash.xxh3_64_hexdigest(json.dumps(outline).encode())


def _convert(
    value: Any,
    outer: tuple[int, ...],
    convert_other: Callable[[Any], Json],
    convert_rest: Callable[[Any], Json],
) -> Json:
    """Convert a value that is inside of others; those of no kind that is known here, and the rest.

    The rest is what cannot be looked into.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    # A value inside itself, or as deep as makes no difference.
    if id(value) in outer or len(outer) == MAX_DEPTH:
        return convert_rest(value)
    inner = (*outer, id(value))

    def convert(item: Any) -> Json:
        return _convert(item, inner, convert_other, convert_rest)

    converter = CONVERTERS.get(kind)
    try:
        return convert_other(value) if converter is None else converter(value, convert)
    except Exception:  # whatever a class raises that is asked for its contents
        return convert_rest(value)


def as_stored(value: Any) -> Json:
    """Return what a saver would store of a value, and its text; raises what the saver would."""
    if isinstance(value, BaseException):
        return {"$error": encode_error(value)}
    form, stored = SERIALIZER.dumps_typed(value)
    return {"$stored": [form, b64encode(stored).decode()], **_about(value, MAX_TEXT)}


def as_text(value: Any) -> Json:
    """Return the text of a value."""
    if isinstance(value, Unreadable):
        return {"$text": None, "text": value.text, "class": value.kind}
    return {"$text": None, **_about(value, None)}


def _about(value: Any, size: int | None) -> dict[str, Json]:
    return {"text": safe_repr(value)[:size], "class": type(value).__qualname__}


def _as_class(value: Any) -> Json:
    kind = value.kind if isinstance(value, Unreadable) else type(value).__qualname__
    return {"$class": "Exception" if isinstance(value, Exception) else kind}


Converter: TypeAlias = Callable[[Any, Callable[[Any], Json]], Json]


def _from_dict(value: dict[Any, Any], convert: Callable[[Any], Json]) -> Json:
    # Else it could not be told from what stands for something else.
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: convert(item) for key, item in value.items()}
    return {"$dict": [[convert(key), convert(item)] for key, item in value.items()]}


def _from_set(value: Collection[Any], convert: Callable[[Any], Json]) -> Json:
    # Sorted, because the order of a set is another one in another process.
    return {f"${type(value).__name__}": sorted(map(convert, value), key=json.dumps)}


def _from_command(value: Command[Any], convert: Callable[[Any], Json]) -> Json:
    # A list of a class of its own is joined updates.
    update = list(value.update) if isinstance(value.update, list) else value.update
    return {"$command": [convert(one) for one in (value.graph, update, value.resume, value.goto)]}


def _from_send(value: Send, convert: Callable[[Any], Json]) -> Json:
    limits = value.timeout
    return {"$send": [value.node, convert(value.arg), None if limits is None else asdict(limits)]}


CONVERTERS: Final[Mapping[type[Any], Converter]] = {
    list: lambda value, convert: [convert(item) for item in value],
    tuple: lambda value, convert: {"$tuple": [convert(item) for item in value]},
    dict: _from_dict,
    set: _from_set,
    frozenset: _from_set,
    Send: _from_send,
    Command: _from_command,
    Interrupt: lambda value, convert: {"$interrupt": [convert(value.value), value.id]},
    Overwrite: lambda value, convert: {"$overwrite": convert(value.value)},
    _DeltaSnapshot: lambda value, convert: {"$snapshot": convert(value.value)},
    type(MISSING): lambda _, __: {"$missing": True},
}


def encode_error(error: BaseException) -> Json:
    """Return the JSON for the error of a task: its class and text, and what it is to the core."""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, ParentCommand):
        return {"kind": "command", "command": encode(error.args[0])}
    for kind, stand_in in _STAND_INS.items():
        if isinstance(error, stand_in.__mro__[1]):
            return {"kind": kind, "text": f"{name}: {safe_str(error)}"}
    raise AssertionError("every error is a BaseException")


_STAND_INS: Final[Mapping[str, type[BaseException]]] = {
    "signal": RecordedSignal,
    "error": RecordedError,
    "exit": RecordedExit,
}


class Decoder:
    """Makes values from what a log has of them.

    Of objects of other classes, only those that savers accept without being asked to are made, and
    those that are `allowed` by module and name: a log may come from anybody.
    """

    def __init__(self, allowed: Collection[tuple[str, str]] = ()) -> None:
        self._serializer = JsonPlusSerializer(allowed_msgpack_modules=list(allowed))

    def decode(self, data: Json) -> Any:
        """Return the value."""
        if isinstance(data, list):
            return [self.decode(item) for item in data]
        if not isinstance(data, dict):
            return data
        for mark, content in data.items():
            if mark.startswith("$"):
                return self._unmark(mark, content, data)
            break
        return {key: self.decode(item) for key, item in data.items()}

    def error(self, data: Mapping[str, Json]) -> BaseException:
        """Return the error, or what stands for it."""
        if data["kind"] == "command":
            return ParentCommand(self.decode(data["command"]))
        return _STAND_INS[data["kind"]](data["text"])

    def _unmark(self, mark: str, content: Json, data: Mapping[str, Json]) -> Any:
        decode = self.decode
        match mark, content:
            case "$missing", _:
                return MISSING
            case "$float", text:
                return float(text)
            case "$text", _:
                return Unreadable(data["text"], data["class"])
            case "$error", data:
                return self.error(data)
            case "$stored", [form, stored]:
                value = self._serializer.loads_typed((form, b64decode(stored)))
                # A serializer that may not make an object returns what it has of it.
                is_refused = type(value).__qualname__ != data["class"]
                return Unreadable(data["text"], data["class"]) if is_refused else value
            case "$interrupt", [value, id]:
                return Interrupt(decode(value), id)
            case "$send", [node, argument, timeout]:
                limits = timeout and TimeoutPolicy(**timeout)
                return Send(node, decode(argument), timeout=limits)
            case "$command", parts:
                graph, update, resume, goto = map(decode, parts)
                return Command(graph=graph, update=update, resume=resume, goto=goto)
            case "$dict", pairs:
                return {decode(key): decode(item) for key, item in pairs}
        return _WRAPPERS[mark](decode(content))


_WRAPPERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$overwrite": Overwrite,
    "$snapshot": _DeltaSnapshot,
}
