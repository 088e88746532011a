"""Versions of channels: which of them is newer.

A saver makes them, and all of one saver are of one type. A program that writes a checkpoint by hand
may mix them: then their numbers say which is newer, what stands before the first dot of a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def is_newer(version: Any, last: Any) -> bool:
    """Say whether a version came after another one."""
    try:
        # Of one saver they compare as they are: numbers, or texts of one width.
        return bool(version > last)
    except TypeError:
        return _number(version) > _number(last)


def newest(versions: Iterable[Any]) -> Any:
    """Return the newest version, None if there is none.

    Where they are mixed and it is a fraction, its whole part: savers count in whole numbers.
    """
    known = list(versions)
    try:
        return max(known, default=None)
    except TypeError:
        last = max(known, key=_number)
    return int(last) if isinstance(last, float) else last


def _number(version: Any) -> float:
    if isinstance(version, (int, float)):
        return version
    try:
        return int(str(version).partition(".")[0])
    except ValueError:
        # What is no number at all is older than anything a saver has made.
        return -1
