"""The classes a graph declares, for serializers that accept only classes they know."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from enum import Enum
from inspect import isclass
from typing import Any, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

__all__ = ("declared_classes", "is_strict")


def is_strict() -> bool:
    """Say whether `LANGGRAPH_STRICT_MSGPACK` asks savers to refuse classes they do not know."""
    return os.getenv("LANGGRAPH_STRICT_MSGPACK", "").lower() in ("1", "true", "yes")


def declared_classes(annotations: Iterable[Any]) -> frozenset[tuple[str, str]]:
    """Return module and name of each dataclass, pydantic model and enum in the annotations.

    Those in the fields of a class and in the arguments of a generic type count too.
    """
    found: set[tuple[str, str]] = set()
    # By identity, for metadata need not be hashable; kept, so that no identity is used twice.
    seen: dict[int, Any] = {}
    pending = list(annotations)
    while pending:
        annotation = pending.pop()
        if id(annotation) in seen:
            continue
        seen[id(annotation)] = annotation
        pending += [*get_args(annotation), get_origin(annotation)]
        if (supertype := getattr(annotation, "__supertype__", None)) is not None:
            pending.append(supertype)
        if not isclass(annotation):
            continue
        if _has_fields(annotation):
            pending += _field_types(annotation)
        if _is_stored(annotation):
            found.add((annotation.__module__, annotation.__name__))
    return frozenset(found)


def _is_stored(cls: type[Any]) -> bool:
    """Say whether a serializer stores instances of the class under its name."""
    return dataclasses.is_dataclass(cls) or hasattr(cls, "model_fields") or issubclass(cls, Enum)


def _has_fields(cls: type[Any]) -> bool:
    return is_typeddict(cls) or dataclasses.is_dataclass(cls) or hasattr(cls, "model_fields")


def _field_types(cls: type[Any]) -> list[Any]:
    try:
        return list(get_type_hints(cls).values())
    except (NameError, TypeError):
        return []  # a name that exists for type checkers only
