"""Values as JSON: the one place where what leaves the server is encoded.

orjson does nearly all of it; `known` says what becomes of classes that it does not know. What it
refuses altogether (lone surrogates, integers beyond 64 bits, values inside themselves) goes through
`_plain` once more, which is slow and takes everything: a value that a node made up is no reason for
a stream to break.
"""

from __future__ import annotations

import dataclasses
import os
import re
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Set
from datetime import timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import orjson
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from millstream._base.texts import safe_str

MAX_DEPTH: Final = 100
"""Deeper than this nothing is shown: readers of JSON do not go there."""
_EMPTY: Final = ("additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls")
"""Fields of messages that say nothing where they are empty."""
_ABSENT: Final = ("name", "usage_metadata")
"""Fields of messages that say nothing where they are None."""
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_SMALLEST: Final = -(2**63)
_BEYOND: Final = 2**64
"""The integers that orjson takes."""


def dumps(value: Any) -> bytes:
    """Return `value` as JSON in one line of UTF-8; never raises for what a value is made of."""
    return _dumps(value, known)


def dumps_compact(value: Any) -> bytes:
    """Return `value` as JSON, its messages without the fields that say nothing."""
    return _dumps(value, _known_compact)


def _dumps(value: Any, default: Callable[[Any], Any]) -> bytes:
    try:
        return orjson.dumps(value, default)
    except (TypeError, RecursionError):
        # Mostly for keys that are no text, which cost all other dicts time if they are allowed.
        return _dumps_unusual(value, default)


def _dumps_unusual(value: Any, default: Callable[[Any], Any]) -> bytes:
    try:
        return orjson.dumps(value, default, _OPTIONS)
    except (TypeError, RecursionError):
        return orjson.dumps(_plain(value, ()))


def loads(text: bytes | str) -> Any:
    """Return the value that a JSON text stands for."""
    return orjson.loads(text)


def error_of(error: BaseException) -> dict[str, str]:
    """Return an error as clients see it."""
    return {"error": type(error).__name__, "message": safe_str(error)}


def _of_dataclass(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


_CONVERSIONS: Final[tuple[tuple[type[Any] | tuple[type[Any], ...], Callable[[Any], Any]], ...]] = (
    (BaseModel, lambda value: value.model_dump()),
    (BaseException, error_of),
    ((tuple, Set, deque), list),
    (Mapping, dict),
    ((bytes, bytearray, memoryview), lambda value: b64encode(value).decode("ascii")),
    (timedelta, lambda value: value.total_seconds()),
    (Decimal, str),
    (os.PathLike, os.fspath),
    (re.Pattern, lambda value: value.pattern),
    (Enum, lambda value: value.value),
    (tzinfo, str),
    (str, str),
    (float, float),
    (int, int),
)
"""Classes -> what their instances are encoded as; the first that fits."""


def _known_compact(value: Any) -> Any:
    if isinstance(value, BaseMessage):
        fields = value.model_dump()
        return {
            "type": fields.pop("type"),
            "content": fields.pop("content"),
            "id": fields.pop("id"),
            **{
                key: field
                for key, field in fields.items()
                if not (key in _EMPTY and not field) and not (key in _ABSENT and field is None)
            },
        }
    if isinstance(value, BaseModel):
        # Not dumped as a whole: there may be messages in it.
        return {**dict(value), **(value.model_extra or {})}
    return known(value)


def known(value: Any) -> Any:
    """Return what JSON has for `value`, whose class orjson does not know."""
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    try:
        for classes, convert in _CONVERSIONS:
            if isinstance(value, classes):
                return convert(value)
        if dataclasses.is_dataclass(value):
            return _of_dataclass(value)
        # Models of pydantic 1, and whatever else says how it is dumped.
        dump = getattr(value, "dict", None)
        if callable(dump):
            return dump()
        if hasattr(value, "isoformat"):
            return value.isoformat()
        return _text(value)
    # Code of users: a value that cannot be shown is told of, and breaks nothing.
    except Exception as error:
        return f"<{type(value).__name__} that cannot be encoded: {safe_str(error)}>"


def _text(value: Any) -> str:
    has_own = getattr(type(value), "__str__", None) is not object.__str__
    return str(value) if has_own else repr(value)


def _plain(value: Any, outer: tuple[int, ...]) -> Any:
    """Return `value` as what orjson takes in any case."""
    if isinstance(value, str):
        # What is no UTF-8 cannot be sent as such: half of a surrogate pair, mostly.
        return (
            value.encode("utf-8", "replace").decode()
            if type(value) is str
            else _plain(str(value), outer)
        )
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and not isinstance(value, Enum):
        is_small = _SMALLEST <= value < _BEYOND
        return int(value) if is_small else orjson.Fragment(str(int(value)))
    if id(value) in outer:
        return "<cycle>"
    if len(outer) >= MAX_DEPTH:
        return "<nested too deeply>"
    inner = (*outer, id(value))
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, inner) for key, item in value.items()}
    if isinstance(value, (list, tuple, Set, deque)):
        return [_plain(item, inner) for item in value]
    try:
        return orjson.loads(orjson.dumps(value))
    except (TypeError, RecursionError):
        return _plain(known(value), inner)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(_plain(key, ()))
    if key is None or isinstance(key, bool):
        return orjson.dumps(key).decode()
    return str(_plain(safe_str(key.value if isinstance(key, Enum) else key), ()))
