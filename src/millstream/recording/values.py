"""Values in a recording: JSON that says the same, and from which they are made again.

JSON's own values stand for themselves. A message is an object of its fields with its class under
`$message`, so that a page can show it; whatever else has to be told from JSON's values is an object
whose first key begins with `$`, as in a log of stimuli (`stimuli.values`). What becomes of a file's
objects is decided by this module alone: a file names no code that is run, except the constructors
of classes that its reader allows.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from copy import deepcopy
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from langchain_core import messages
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from millstream.constants import MISSING
from millstream.modes.content_blocks import ErrorEvent
from millstream.modes.subgraph_events import SubgraphEvent
from millstream.recording.errors import decode_error, encode_error
from millstream.recording.lines import MAX_LINE
from millstream.stimuli import values as stimuli
from millstream.stimuli.values import CONVERTERS, MAX_DEPTH, as_stored, as_text
from millstream.types import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from millstream.stimuli.values import Converter

Json: TypeAlias = Any

_ATOMS: Final = frozenset((bool, int, str, type(None)))
_LEAST_INT: Final = -(1 << 63)
_INT_LIMIT: Final = 1 << 64
MARK: Final = b'"$'
"""What is in a line if anything in it is to be told from JSON's values."""

MESSAGES: Final[Mapping[str, type[BaseMessage]]] = {
    cls.__name__: cls
    for cls in vars(messages).values()
    if isinstance(cls, type) and issubclass(cls, BaseMessage) and cls is not BaseMessage
}
"""The classes of messages that are written with their fields, by name."""

_DEFAULTS: Final[Mapping[type[BaseMessage], Mapping[str, Any]]] = {
    cls: {
        name: MISSING if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in cls.model_fields.items()
    }
    for cls in MESSAGES.values()
}
"""What a message of the class has in a field that is not written."""


def encode(value: Any) -> bytes:
    """Return the JSON for a value; never raises."""
    try:
        if _is_plain(value):
            return orjson.dumps(value)
    # A number or a text that this writer has no JSON for, or what is nested deep, or in itself.
    except (TypeError, RecursionError):
        pass
    return dumps(_convert(value, ()))


def dumps(data: Json) -> bytes:
    """Return the text of what has JSON."""
    try:
        return orjson.dumps(data)
    except TypeError:  # halves of pairs of surrogates, which no UTF-8 has
        return json.dumps(data, separators=(",", ":")).encode()


def loads(line: bytes) -> Json:
    """Return what a text says; `ValueError` if it is no JSON."""
    try:
        return orjson.loads(line)
    except ValueError:  # the same: this reader refuses them
        return json.loads(line)


def _is_plain(value: Any) -> bool:
    """Say whether a value is read from its JSON as what it is."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str or key[:1] == "$":
                return False
            if type(item) not in _ATOMS and not _is_plain(item):
                return False
        return True
    if kind is list:
        return all(type(item) in _ATOMS or _is_plain(item) for item in value)
    return kind is float and math.isfinite(value)


def _convert(value: Any, outer: tuple[int, ...]) -> Json:
    """Convert a value that is inside of others."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        # As JSON's numbers are read elsewhere, larger ones become others.
        return value if _LEAST_INT <= value < _INT_LIMIT else {"$int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    # A value inside itself, or as deep as makes no difference.
    if id(value) in outer or len(outer) == MAX_DEPTH:
        return as_text(value)
    try:
        return _converter(value)(value, partial(_convert, outer=(*outer, id(value))))
    except Exception:  # whatever a class raises that is asked for its contents
        return as_text(value)


def _converter(value: Any) -> Converter:
    kind = type(value)
    if (known := _CONVERTERS.get(kind)) is not None:
        return known
    if isinstance(value, BaseException):
        return encode_error
    # As what it is, if its reader allows that.
    if isinstance(value, (Enum, BaseMessage)) or hasattr(kind, "_fields"):
        return _from_other
    for base, convert in _BASES.items():
        if isinstance(value, base):
            return convert
    return _from_other


def _from_message(value: BaseMessage, convert: Callable[[Any], Json]) -> Json:
    kind = type(value)
    data: dict[str, Json] = {"$message": kind.__name__}
    defaults = _DEFAULTS[kind]
    for name, field in value.__dict__.items():
        default = defaults.get(name, MISSING)
        if field is not default and (type(field) is not type(default) or field != default):
            data[name] = field if type(field) is str else convert(field)
    for name, field in (value.__pydantic_extra__ or {}).items():
        data[name] = convert(field)
    return data


def _from_interrupt(value: Interrupt[Any], convert: Callable[[Any], Json]) -> Json:
    data = {"value": convert(value.value), "id": value.id}
    if value.response_schema is not None:
        data["response_schema"] = convert(value.response_schema)
    return {"$interrupt": data}


def _from_graph(value: SubgraphEvent, convert: Callable[[Any], Json]) -> Json:
    fields = {name: getattr(value, name) for name in SubgraphEvent.__slots__}
    fields["namespace"], fields["within"] = list(value.namespace), list(value.within)
    return {"$graph": {name: convert(field) for name, field in fields.items()}}


def _from_bytes(value: bytes, convert: Callable[[Any], Json]) -> Json:
    return {"$bytes": b64encode(value).decode()}


def _from_other(value: Any, convert: Callable[[Any], Json]) -> Json:
    return as_stored(value)


_CONVERTERS: Final[Mapping[type[Any], Converter]] = {
    **CONVERTERS,
    **dict.fromkeys(MESSAGES.values(), _from_message),
    Interrupt: _from_interrupt,
    SubgraphEvent: _from_graph,
    ErrorEvent: lambda value, convert: {"$failed": convert(value.error)},
    bytes: _from_bytes,
}

# What a class adds to them is lost: not every saver knows such classes, and none of them reads one
# that it does not know.
_BASES: Final[Mapping[type[Any], Converter]] = {
    dict: lambda value, convert: CONVERTERS[dict](dict(value), convert),
    list: lambda value, convert: [convert(item) for item in value],
    str: lambda value, convert: str.__str__(value),
    int: lambda value, convert: convert(int(value)),
    float: lambda value, convert: convert(float(value)),
}


class Decoder(stimuli.Decoder):
    """Makes values from what a recording has of them.

    Objects of other classes than messages and what the engine itself tells are made only if savers
    accept them without being asked to, or if they are `allowed`, by module and name.
    """

    def __init__(self, allowed: Collection[tuple[str, str]] = ()) -> None:
        super().__init__(allowed)
        self.defined: dict[int, Any] = {}
        """What has a number, by that."""
        self._sizes: dict[int, int] = {}
        """How many bytes each of them would have, if all that it refers to stood in it."""
        self._size = 0
        """How many the line has that is decoded."""

    def decode_line(self, data: Json, size: int) -> Any:
        """Return the value in a line of so many bytes."""
        self._size = size
        return self.decode(data)

    def define(self, number: int, data: Json, size: int) -> None:
        """Take note of what a number stands for from now on, in a line of so many bytes."""
        self.defined[number] = self.decode_line(data, size)
        self._sizes[number] = self._size

    def forget(self, number: int) -> None:
        """Take note that a number stands for nothing any more."""
        self.defined.pop(number, None)
        self._sizes.pop(number, None)

    def _referred(self, number: int) -> Any:
        # Definitions that refer to each other, twice each, double with every line.
        self._size += self._sizes.get(number, 0)
        if self._size > MAX_LINE:
            raise ValueError(f"with what it refers to it has more than {MAX_LINE} bytes")
        return self.defined.get(number)

    def _unmark(self, mark: str, content: Json, data: Mapping[str, Json]) -> Any:
        decode = self.decode
        match mark, content:
            case "$tuple", [*items]:
                return tuple([decode(item) for item in items])
            case "$ref", number:
                return self._referred(number)
            case "$message", name:
                fields = {key: decode(item) for key, item in data.items() if key != mark}
                return _message(MESSAGES[name], fields)
            case "$interrupt", {"value": value, "id": id}:
                schema = decode(content.get("response_schema"))
                return Interrupt(decode(value), id, response_schema=schema)
            case "$int", text:
                return int(text, 16)
            case "$bytes", text:
                return b64decode(text)
            case "$error", {"class": _, "text": _}:
                return decode_error(content["class"], content["text"], content.get("args"))
            case "$failed", error:
                return ErrorEvent(decode(error))
            case "$graph", {"namespace": namespace, "within": within}:
                fields = {key: decode(item) for key, item in content.items()}
                return SubgraphEvent(
                    **{**fields, "namespace": tuple(namespace), "within": tuple(within)}
                )
        return super()._unmark(mark, content, data)


def _message(cls: type[BaseMessage], fields: Mapping[str, Any]) -> BaseMessage:
    """Return a message with these fields, and its defaults in the others, without any check.

    What pydantic has for that, `model_construct`, takes many times as long.
    """
    values: dict[str, Any] = {}
    for name, default in _DEFAULTS[cls].items():
        if name in fields:
            values[name] = fields[name]
        elif default is not MISSING:
            values[name] = default.copy() if type(default) in (dict, list) else default
    extra = {name: value for name, value in fields.items() if name not in values}
    return _made(cls, values, {*fields} & values.keys(), extra)


def with_content(message: BaseMessage) -> Callable[[str], BaseMessage]:
    """Return a function that makes messages which differ from this one in their content."""
    cls, known = type(message), {**message.__dict__}
    extra, named = message.__pydantic_extra__ or {}, message.__pydantic_fields_set__
    # As many as are made, each has lists and dicts of its own.
    own = [(name, value) for name, value in known.items() if type(value) in (dict, list)]

    def make(content: str) -> BaseMessage:
        values = known.copy()
        values["content"] = content
        for name, value in own:
            values[name] = deepcopy(value) if value else type(value)()
        return _made(cls, values, named.copy(), extra.copy())

    return make


def _made(
    cls: type[BaseMessage], values: dict[str, Any], named: set[str], extra: dict[str, Any]
) -> BaseMessage:
    message = cls.__new__(cls)
    # As `object.__setattr__` would; pydantic's own checks.
    _SET_VALUES(message, values)
    _SET_NAMED(message, named)
    _SET_PRIVATE(message, None)
    _SET_EXTRA(message, extra)
    return message


_SET_VALUES: Final = BaseModel.__dict__["__dict__"].__set__
_SET_NAMED: Final = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_SET_PRIVATE: Final = BaseModel.__dict__["__pydantic_private__"].__set__
_SET_EXTRA: Final = BaseModel.__dict__["__pydantic_extra__"].__set__
"""What sets what a message is made of."""
