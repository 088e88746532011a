"""Looking into values: what a container, a dataclass or a model consists of."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any


def fields_of(value: Any) -> Mapping[Any, Any]:
    """Return the entries of a dict, or the attributes of a dataclass, model or named tuple."""
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        fields: dict[str, Any] = value._asdict()
        return fields
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    if hasattr(value, "__pydantic_fields_set__"):
        return dict(value.__dict__)
    return {}


def contents_of(value: Any) -> Iterable[tuple[str, Any]]:
    """Return what a value consists of, each with how to get there."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", item) for key, item in value.items()]
    if fields := fields_of(value):
        return [(f".{name}", item) for name, item in fields.items()]
    if isinstance(value, (list, tuple, deque)):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [("{...}", item) for item in value]
    if hasattr(value, "node") and hasattr(value, "arg"):
        return [(".arg", value.arg)]
    return ()
