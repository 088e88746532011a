"""Lists that are read again and again: what was read before is copied, which is less work.

A conversation is read with every turn, and a history reads it once for each checkpoint, each time
nearly the same messages. So of a list that is read more than once it is known how its elements are
made: those of langchain-core's messages that hold nothing but plain values are copied from one that
nobody else has, everything else is read by the serializer, element by element. What comes out is
what the serializer would have read, and nobody shares it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from millstream.journal.splitting import common, end_of
from millstream.journal.states import MSGPACK

Load: TypeAlias = "Callable[[tuple[str, bytes]], Any]"
Make: TypeAlias = "Callable[[], Any]"

LEAST: Final = 4096
"""Bytes from which on a value is worth it."""
_FEWEST: Final = 8
"""Of so many elements, one at most may have to be read."""
_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))
_OBJECTS: Final = (0xC7, 0xC8, 0xC9)
_MESSAGES: Final = "langchain_core.messages."
_new: Final = object.__new__
_set_attribute: Final = object.__setattr__


@dataclass(slots=True, frozen=True)
class Again:
    """How the elements of a list are made."""

    data: bytes
    """Nothing if it is no less work to read it."""
    first: int
    """Where the first element begins."""
    ends: list[int]
    makes: list[Make]

    def value(self) -> list[Any]:
        """Return the list, which nobody else has."""
        return [make() for make in self.makes]


def again(load: Load, data: bytes, former: Again | None) -> Again | None:
    """Return how a list is made, given what is known of an earlier one; None for no such list."""
    if former is not None and (former.data is data or not former.data):
        return former
    size, first = _header(data)
    if size < 0:
        return None
    if former is None and not _begins_with_message(load, data, first):
        return _NOT_WORTH_IT
    count, start = 0, first
    ends: list[int] = []
    makes: list[Make] = []
    if former is not None:
        same = common(data, first, former.data, former.first)
        count = bisect_right(former.ends, former.first + same)
        shift = first - former.first
        ends = [end + shift for end in former.ends[:count]] if shift else former.ends[:count]
        makes = former.makes[:count]
        start = ends[-1] if ends else first
    new: list[int] = []
    end = start
    try:
        while end < len(data):
            end = end_of(data, end)
            new.append(end)
    except (IndexError, ValueError):
        return None
    if len(ends) + len(new) != size:
        return None
    values = load((MSGPACK, b"\xdd" + len(new).to_bytes(4, "big") + data[start:])) if new else []
    for value, stop in zip(values, new, strict=True):
        make = _maker(value, set())
        if make is None:
            make = partial(_element, load, data[start:stop])
        makes.append(make)
        start = stop
    read = [make for make in makes if getattr(make, "func", None) is _element]
    if len(read) * _FEWEST > len(makes):
        return _NOT_WORTH_IT
    return Again(data, first, ends + new, makes)


_NOT_WORTH_IT: Final = Again(b"", 0, [], [])


def _begins_with_message(load: Load, data: bytes, first: int) -> bool:
    """Say whether a list is one of messages, without a look at all of it: it may be long."""
    # What is no object is read in no time.
    if first >= len(data) or data[first] not in _OBJECTS:
        return False
    try:
        make = _maker(load((MSGPACK, data[first : end_of(data, first)])), set())
    except (IndexError, ValueError):
        return False
    return getattr(make, "func", None) is _message


def _header(data: bytes) -> tuple[int, int]:
    """Return how many elements a list has and where the first one begins; -1 if it is none."""
    kind = data[0] if data else 0
    if 0x90 <= kind < 0xA0:
        return kind & 15, 1
    first = {0xDC: 3, 0xDD: 5}.get(kind, 0)
    if not first or len(data) < first:
        return -1, 0
    return int.from_bytes(data[1:first], "big"), first


def _element(load: Load, data: bytes) -> Any:
    return load((MSGPACK, data))


def _maker(value: Any, seen: set[int]) -> Make | None:
    """Return what makes a value like that, without a look at it later; None if it must be read."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return partial(_same, value)
    if id(value) in seen:  # what is one object has to be one afterwards
        return None
    seen.add(id(value))
    if kind is dict or kind is list:
        items = value.values() if kind is dict else value
        if _PLAIN.issuperset(map(type, items)):
            return value.copy  # type: ignore[no-any-return]
        changing = _changing(value, seen)
        return None if changing is None else partial(_container, value.copy, changing)
    if kind.__module__.startswith(_MESSAGES) and value.__pydantic_private__ is None:
        fields, names = value.__dict__, value.__pydantic_fields_set__
        changing, extra = _changing(fields, seen), _maker(value.__pydantic_extra__, seen)
        if changing is not None and extra is not None:
            return partial(_message, kind, fields, changing, names, extra)
    return None


def _changing(value: Any, seen: set[int]) -> list[tuple[Any, Make]] | None:
    """Return what of a container can be changed, with what makes it; None if something else can."""
    changing: list[tuple[Any, Make]] = []
    for name, item in value.items() if type(value) is dict else enumerate(value):
        if type(item) in _PLAIN:
            continue
        make = _maker(item, seen)
        if make is None:
            return None
        changing.append((name, make))
    return changing


def _same(value: Any) -> Any:
    return value


def _container(copy: Make, changing: list[tuple[Any, Make]]) -> Any:
    twin = copy()
    for name, make in changing:
        twin[name] = make()
    return twin


def _message(
    kind: Any,
    fields: dict[str, Any],
    changing: list[tuple[str, Make]],
    names: set[str],
    extra: Make,
) -> Any:
    twin = _new(kind)
    own = fields.copy()
    for name, make in changing:
        own[name] = make()
    # Past validation: it has said what it says of these very values.
    _set_attribute(twin, "__dict__", own)
    _set_attribute(twin, "__pydantic_fields_set__", names.copy())
    _set_attribute(twin, "__pydantic_extra__", extra())
    _set_attribute(twin, "__pydantic_private__", None)
    return twin
