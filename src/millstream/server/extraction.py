"""Paths into threads, as a search extracts them: `values.messages[-1].content`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from millstream.server.errors import ApiError

ROOTS: Final = ("values", "metadata", "config", "interrupts", "error", "status", "thread_id")
_PATH: Final = re.compile(r"[^.\[\]]+(\[-?\d+\])*(\.[^.\[\]]+(\[-?\d+\])*)*")
_STEP: Final = re.compile(r"\[(-?\d+)\]|([^.\[\]]+)")

Steps = tuple["str | int", ...]


def parse(path: str) -> Steps:
    """Return the steps of a path, or refuse it."""
    if not _PATH.fullmatch(path):
        raise ApiError(422, f"extract: {path!r} is no path like values.messages[-1].content")
    steps = tuple(int(index) if index else name for index, name in _STEP.findall(path))
    if steps[0] not in ROOTS:
        raise ApiError(422, f"extract: {path!r} begins with none of {', '.join(ROOTS)}")
    return steps


def extract(row: Mapping[str, Any], steps: Steps) -> Any:
    """Return what is at a path, None if nothing is."""
    value: Any = row
    for step in steps:
        if isinstance(step, int):
            is_there = isinstance(value, list) and -len(value) <= step < len(value)
        else:
            is_there = isinstance(value, Mapping) and step in value
        if not is_there:
            return None
        value = value[step]
    return value
