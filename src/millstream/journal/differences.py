"""What is different between the values of two checkpoints, told shortly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

_LONGEST: Final = 60
"""Characters that are shown of a value."""
_MOST_NAMES: Final = 8

Dump = Callable[[Any], tuple[str, bytes]]


@dataclass(slots=True, frozen=True)
class Difference:
    """One channel that has another value."""

    channel: str
    change: Literal["added", "removed", "changed"]
    how: str


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any], dump: Dump
) -> Iterator[Difference]:
    """Yield by name the channels that are different; equal is what is stored in the same way."""
    for name in sorted({*before, *after}):
        if name not in before:
            yield Difference(name, "added", _shown(after[name]))
        elif name not in after:
            yield Difference(name, "removed", _shown(before[name]))
        elif not _is_same(before[name], after[name], dump):
            yield Difference(name, "changed", _change(before[name], after[name], dump))


def _is_same(old: Any, new: Any, dump: Dump) -> bool:
    return dump(old) == dump(new)


def _change(old: Any, new: Any, dump: Dump) -> str:
    if isinstance(old, list) and isinstance(new, list):
        return _change_of_list(old, new, dump)
    if isinstance(old, dict) and isinstance(new, dict):
        return _change_of_dict(old, new, dump)
    return f"{_shown(old)} -> {_shown(new)}"


def _change_of_list(old: Sequence[Any], new: Sequence[Any], dump: Dump) -> str:
    most = min(len(old), len(new))
    start = 0
    while start < most and _is_same(old[start], new[start], dump):
        start += 1
    end = 0
    while end < most - start and _is_same(old[-1 - end], new[-1 - end], dump):
        end += 1
    gone, come = len(old) - start - end, len(new) - start - end
    where = "at the end" if not end else "at the beginning" if not start else f"at {start}"
    said = [f"{count} {what}" for count, what in ((gone, "removed"), (come, "added")) if count]
    if gone == come:
        said, where = [f"{gone} replaced"], f"at {start}"
    first = f": {_shown(new[start])}" if come == 1 else ""
    return f"{len(old)} -> {len(new)} items, {' and '.join(said)} {where}{first}"


def _change_of_dict(old: Mapping[Any, Any], new: Mapping[Any, Any], dump: Dump) -> str:
    changed = [key for key in new if key in old and not _is_same(old[key], new[key], dump)]
    groups = (
        ("added", [key for key in new if key not in old]),
        ("removed", [key for key in old if key not in new]),
        ("changed", changed),
    )
    said = [f"{what} {_names(keys)}" for what, keys in groups if keys]
    return ", ".join(said) or "the order of its keys"


def _names(keys: Sequence[Any]) -> str:
    shown = ", ".join(map(_shown, keys[:_MOST_NAMES]))
    return shown if len(keys) <= _MOST_NAMES else f"{shown} and {len(keys) - _MOST_NAMES} more"


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) > 1:
        return f"{len(value)} items"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
