"""Read a state update from whatever object a node returned."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from inspect import get_annotations
from typing import Any, Final, cast

from millstream.constants import MISSING, ROOT

__all__ = ("annotated_keys", "changed_fields", "update_as_tuples")

_CLASSES_REMEMBERED: Final = 512


@lru_cache(maxsize=_CLASSES_REMEMBERED)
def annotated_keys(cls: type) -> tuple[str, ...]:
    """Return the names annotated in `cls`: its base classes first, no name twice."""
    keys: dict[str, None] = {}
    # Not `get_type_hints`, which evaluates annotations: names are all that is wanted.
    for base in reversed(cls.__mro__):
        keys.update(dict.fromkeys(get_annotations(base)))
    return tuple(keys)


def changed_fields(update: Any, keys: Sequence[str]) -> list[tuple[str, Any]]:
    """Return those of `keys` that the object `update` sets, with their values.

    An attribute that does not exist is not set. A field of a pydantic model that is `None` only
    because `None` is its default is not set either: it would erase what the state holds.
    """
    # Not imported here: what is a model has imported it.
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(update, pydantic.BaseModel):
        return [
            (key, value) for key in keys if (value := getattr(update, key, MISSING)) is not MISSING
        ]
    given = update.model_fields_set
    fields = type(update).model_fields
    return [
        (key, value)
        for key in keys
        if (value := getattr(update, key, MISSING)) is not MISSING
        and (
            value is not None or key in given or (key in fields and fields[key].default is not None)
        )
    ]


def update_as_tuples(update: Any) -> Sequence[tuple[str, Any]]:
    """Return an update as `(state key, value)` pairs.

    A dict and a list of pairs say so themselves, an object with annotations by its attributes;
    anything else is one value for the root channel.
    """
    if update is None:
        return []
    if isinstance(update, dict):
        return list(update.items())
    if isinstance(update, (list, tuple)):
        if all(
            isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
            for pair in update
        ):
            return cast("Sequence[tuple[str, Any]]", update)
        return [(ROOT, update)]
    kind: type = type(update)
    keys = annotated_keys(kind)
    # An object that declares nothing is a value.
    return changed_fields(update, keys) if keys else [(ROOT, update)]
