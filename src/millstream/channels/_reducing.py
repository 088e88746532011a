"""What channels with a reducer share: first values, and writes that replace the value."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, get_args, get_origin

from typing_extensions import NotRequired, Required

from millstream._types.advice import with_advice
from millstream.constants import MISSING, OVERWRITE
from millstream.errors import ErrorCode, create_error_message
from millstream.types import Overwrite

_QUALIFIERS: Final = (Annotated, Required, NotRequired)
_CONCRETE: Final[dict[Any, Callable[[], Any]]] = {
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
}
OVERWRITE_TYPES: Final = (Overwrite, dict)
"""A write of one of these types may be an Overwrite; all others take the short way."""
TWO_OVERWRITES: Final = create_error_message(
    message="Can receive only one Overwrite value per super-step.",
    error_code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
)


def replacement_in(write: Any) -> Any:
    """Return what an `Overwrite`, in any of its forms, replaces the value with; else `MISSING`."""
    if isinstance(write, Overwrite):
        return write.value
    # What an Overwrite looks like after a trip through JSON, in its short and its long form.
    if len(write) == 1 and OVERWRITE in write:
        return write[OVERWRITE]
    if write.get("type") == OVERWRITE and "value" in write:
        return write["value"]
    return MISSING


def factory_of(typ: Any) -> Any:
    """Return what makes the first value of a type: its class, or one for an abstract collection."""
    origin = get_origin(typ)
    while origin in _QUALIFIERS:
        typ = get_args(typ)[0]
        origin = get_origin(typ)
    kind = origin or typ
    try:
        return _CONCRETE.get(kind, kind)
    except TypeError:
        # An unhashable annotation names no class either way.
        return kind


def first_value_of(factory: Callable[[], Any]) -> Any:
    """Return what the factory makes, `MISSING` where it makes nothing without arguments.

    A type may be anything a user annotated: that it cannot be called is normal, and its own errors
    belong to the first write, not to the construction of a graph.
    """
    try:
        return factory()
    except Exception:
        return MISSING


def note_reducer(
    error: Exception, key: str, reducer: Any, value: Any, writes: Sequence[Any]
) -> None:
    """Say in the traceback whose reducer has failed, and with what (Python 3.11 and later)."""
    name = getattr(reducer, "__name__", type(reducer).__name__)
    there = "no value" if value is MISSING else f"a value of {type(value).__name__}"
    given = " and ".join(dict.fromkeys(type(write).__name__ for write in writes))
    with_advice(error, f"The reducer {name!r} of key {key!r} was to combine {there} with {given}")


def is_same_value(left: Any, right: Any) -> bool:
    """Say whether two values are of one class and equal, as far as one can tell."""
    try:
        return type(left) is type(right) and bool(left == right)
    except Exception:  # arrays, for instance, do not say
        return False


def is_same_operator(left: Any, right: Any) -> bool:
    """Say whether two reducers are the same as far as one can tell."""
    # Two lambdas of the same source are different objects each time their annotation is
    # evaluated, so a lambda counts as equal to everything.
    return left is right or "<lambda>" in (
        getattr(left, "__name__", None),
        getattr(right, "__name__", None),
    )
