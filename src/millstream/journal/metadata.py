"""Metadata of checkpoints: what is stored of it, and what is noted to find checkpoints by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from numbers import Number
from typing import Any, Final

from ormsgpack import packb

_PLAIN: Final = frozenset((type(None), bool, int, float, str))
_UNLISTED: Final = frozenset(("source", "step", "parents", "counters_since_delta_snapshot"))
"""What changes with every step, or is the same in every thread: no use to look for a line by it."""
_LONGEST: Final = 256
"""Characters of a value by which lines are found."""
_EXACT: Final = 1 << 53


def packed_metadata(metadata: Mapping[str, Any]) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return plain entries as msgpack, and the others as they are."""
    packed: dict[str, bytes] = {}
    odd: dict[str, Any] = {}
    for name, value in metadata.items():
        if type(value) in _PLAIN or _is_plain(value):
            try:
                packed[name] = packb(value)
                continue
            except (TypeError, ValueError):
                pass  # a number with too many bits, half a character
        odd[name] = value
    return packed, odd


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is list:
        return all(map(_is_plain, value))
    if kind is dict:
        return all(type(name) is str and _is_plain(part) for name, part in value.items())
    return kind in _PLAIN


def labels_of(
    packed: Mapping[str, bytes], metadata: Mapping[str, Any], before: Mapping[str, bytes]
) -> Iterator[tuple[str, str]]:
    """Yield names and values that lines are found by, but for those that were there before."""
    for name, value in metadata.items():
        data = packed.get(name)
        if data is None or before.get(name) != data:
            label = label_of(name, value)
            if label is not None:
                yield label


def label_of(name: str, value: Any) -> tuple[str, str] | None:
    """Return what a value is found by, the same for all that are equal; None if it is not."""
    if name in _UNLISTED or len(name) > _LONGEST or "\0" in name:
        return None
    if isinstance(value, str):
        text = str.__str__(value)  # an enum has another text, and is equal to this one
        return (name, "s" + text) if len(text) < _LONGEST and "\0" not in text else None
    if isinstance(value, Number):
        with suppress(TypeError, ValueError, ArithmeticError):
            number: Any = float(value)  # type: ignore[arg-type]  # complex ones have none
            if number == value and abs(number) < _EXACT:
                return name, f"n{number + 0.0!r}"
    return None


def matches(metadata: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Say whether metadata has all entries that are wanted."""
    if not wanted:
        return True
    return all(name in metadata and metadata[name] == value for name, value in wanted.items())
