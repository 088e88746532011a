"""The JSON codec: anything a graph emits as what JSON can hold."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Set
from enum import Enum
from typing import Any, Final

from millstream._base.texts import safe_str

MAX_DEPTH: Final = 100
_SEQUENCES: Final = (list, tuple, Set, deque)


def to_jsonable(value: Any) -> Any:
    """Return `value` made of dicts with string keys, lists, strings, numbers, booleans and None.

    Messages and other pydantic models and dataclasses become objects of their fields, exceptions
    `{"error": class, "message": text}`, sequences and sets lists; whatever else there is becomes
    its `str` (dates, ids, paths) or `repr`. A value inside itself becomes "<cycle>", one that is
    nested deeper than JSON is read "<nested too deeply>", one that cannot say what it is its class.
    """
    return _convert(value, ())


def _convert(value: Any, outer: tuple[int, ...]) -> Any:
    # Members of an `IntEnum` are numbers too, and are shown as what they stand for.
    if value is None or (isinstance(value, (bool, int)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        # JSON has no word for them.
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Enum):
        return _convert(value.value, outer)
    if isinstance(value, str):
        return str(value)
    # Objects that are alive at once have different ids, and those around are.
    if id(value) in outer:
        return "<cycle>"
    # Deeper than readers of JSON go, and Python's own recursion limit is not far.
    if len(outer) == MAX_DEPTH:
        return "<nested too deeply>"
    inner = (*outer, id(value))
    if isinstance(value, Mapping):
        return {_key(key): _convert(item, inner) for key, item in value.items()}
    if isinstance(value, _SEQUENCES):
        return [_convert(item, inner) for item in value]
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": safe_str(value)}
    fields = _fields(value)
    if fields is None:
        return _text(value)
    return {name: _convert(_attribute(value, name), inner) for name in fields}


def _fields(value: Any) -> list[str] | None:
    # A class has the fields of its instances, without values.
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    model_fields = getattr(type(value), "model_fields", None)
    if isinstance(model_fields, Mapping):
        return [*model_fields, *(getattr(value, "model_extra", None) or ())]
    return None


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    # A property that fails is shown as its error: whoever watches must not end the run.
    except Exception as error:
        return error


def _key(key: Any) -> str:
    return _safely(str, key.value if isinstance(key, Enum) else key)


def _text(value: Any) -> str:
    # The plain `str` of dates, ids, decimals and paths reads better than their `repr`.
    has_own_str = "__str__" in vars(type(value)) or isinstance(value, os.PathLike)
    is_plain = has_own_str and not isinstance(value, (bytes, type))
    return _safely(str if is_plain else repr, value)


def _safely(describe: Callable[[Any], str], value: Any) -> str:
    try:
        return describe(value)
    except Exception:
        return f"<{type(value).__name__}>"
