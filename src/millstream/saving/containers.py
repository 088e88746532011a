"""What a serializer takes for something plainer, and stores without what it is.

A `Counter`, an `OrderedDict` and a `defaultdict` would come back as dicts, a `deque` without its
limit, a dict without the enums, dates and UUIDs that are its keys, a set of tuples as a list. They
are stored in forms that `JsonPlusSerializer` has for other classes: as a call of their class. So
both libraries read them, and a serializer with a list of allowed classes reads a dict.

A model is stored as a dict of its fields, and what they hold as dicts too, because the classes
come back from the annotations. Where an annotation does not say the class, the value itself is
stored, as it would be outside of the model.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from millstream.types import Send

CLASSES: Final = (
    ("collections", "Counter"),
    ("collections", "OrderedDict"),
    ("builtins", "dict"),
    ("builtins", "tuple"),
)
"""Module and name of what is stored so; harmless to read."""
_EXAMPLES: Final[dict[Any, Any]] = {list: [], dict: {}, int: 0, float: 0.0, str: "", set: set()}
"""Factories of a `defaultdict` that can be stored, as classes of these."""
PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))
"""Types of values that hold no others."""
_SPECIAL: Final = frozenset((Counter, OrderedDict, defaultdict))
_SPECIAL_KEYS: Final = (Enum, datetime.date, datetime.time, uuid.UUID, frozenset)
"""Keys of dicts that would come back as text or numbers, or be refused."""
_SIMPLE: Final = (*PLAIN, Literal)
"""Annotations of what holds no others."""
_CONTAINERS: Final = (dict, list, tuple, set, frozenset, deque)


def is_special(value: Any) -> bool:
    """Say whether there is something in the value that would not come back as what it is."""
    kind: Any = type(value)
    if kind in PLAIN:
        return False
    if kind is list:
        return not PLAIN.issuperset(map(type, value)) and any(map(is_special, value))
    if _is_model(kind):
        return bool(_kept_fields(value))
    if kind in _SPECIAL or (kind is deque and value.maxlen is not None):
        return True
    if isinstance(value, dict):
        # The types first, here and below: a loop in C finds out that there is nothing to look at.
        if not PLAIN.issuperset(map(type, value)) and any(map(_is_special_key, value)):
            return True
        items: Any = value.values()
    elif isinstance(value, (list, tuple, deque)):
        items = value
    elif kind in (set, frozenset):
        return not PLAIN.issuperset(map(type, value)) and any(map(_is_special_item, value))
    elif kind is Send:
        return is_special(value.arg)
    elif dataclasses.is_dataclass(kind):
        items = [getattr(value, name, None) for name in kind.__dataclass_fields__]
    else:
        return False
    return not PLAIN.issuperset(map(type, items)) and any(map(is_special, items))


def packed(value: Any, *, is_strict: bool) -> Any:
    """Return the value with all of this as what its class is called with.

    A serializer that `is_strict` would read arguments in the place of a `defaultdict`.
    """
    kind: Any = type(value)
    if kind in PLAIN or not is_special(value):
        return value
    if kind is Send:
        return Send(value.node, packed(value.arg, is_strict=is_strict), timeout=value.timeout)
    if isinstance(value, dict):
        return _packed_dict(value, is_strict=is_strict)
    if isinstance(value, (list, tuple, deque)):
        parts = [packed(item, is_strict=is_strict) for item in value]
        if isinstance(value, deque):
            return _Pair["deque"](parts, value.maxlen) if value.maxlen is not None else deque(parts)
        return value._make(parts) if hasattr(value, "_make") else parts
    if isinstance(value, (set, frozenset)):
        return _packed_key(value)
    if _is_model(kind):
        kept = _kept_fields(value).items()
        fields = {name: packed(item, is_strict=is_strict) for name, item in kept}
        return _stand_in(kind)({**value.model_dump(), **fields})
    twin = copy.copy(value)
    for name in kind.__dataclass_fields__:
        object.__setattr__(twin, name, packed(getattr(twin, name), is_strict=is_strict))
    return twin


def _packed_dict(value: Any, *, is_strict: bool) -> Any:
    kind: Any = type(value)
    items: Any = {key: packed(item, is_strict=is_strict) for key, item in value.items()}
    # Pairs in a list, because the keys of what is stored as a dict become text.
    has_special_keys = any(map(_is_special_key, value))
    if has_special_keys:
        items = [[_packed_key(key), item] for key, item in items.items()]
    factory = getattr(value, "default_factory", None)
    if kind is defaultdict and factory in _EXAMPLES and not is_strict:
        return _Pair["defaultdict"](_One["type"](_EXAMPLES[factory]), items)
    if kind is Counter and has_special_keys:
        items = _One["dict"](items)  # a list would be counted
    if kind in (Counter, OrderedDict):
        return _One[kind.__name__](items)
    return _One["dict"](items) if has_special_keys else items


def _packed_key(value: Any) -> Any:
    """Return what is read as something that can be hashed: tuples as such, and what they hold."""
    if type(value) in (tuple, set, frozenset):
        return _One[type(value).__name__](list(map(_packed_key, value)))
    return value


def _is_special_key(key: Any) -> bool:
    if type(key) is tuple:
        return any(map(_is_special_key, key))
    return isinstance(key, _SPECIAL_KEYS)


def _is_special_item(item: Any) -> bool:
    return type(item) is tuple or (type(item) is frozenset and is_special(item))


@lru_cache(maxsize=256)
def _is_model(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_validator__") and hasattr(kind, "model_dump")


def _kept_fields(model: Any) -> dict[str, Any]:
    """Return the fields of a model that would not come back as what they are."""
    values, kept = model.__dict__, {}
    kind: Any = type(model)
    fields = _open_fields(kind)
    for name in fields:
        value = values.get(name)
        # Most have nothing to look for, and there are many messages in a state.
        if type(value) not in PLAIN and _has_objects(value) and _is_lost(value, fields[name]):
            kept[name] = value
    if model.__pydantic_extra__:
        kept |= {n: v for n, v in model.__pydantic_extra__.items() if _is_lost(v, Any)}
    if kept:
        # Asked last, because it costs more than all else here.
        dumped = model.model_dump()
        # Where a model has a serializer of its own for a field, or leaves it out, that counts.
        kept = {n: v for n, v in kept.items() if isinstance(dumped.get(n), _CONTAINERS)}
    return kept


def _has_objects(value: Any) -> bool:
    """Say whether there is more to the value than containers and what they plainly hold."""
    kind = type(value)
    if kind in PLAIN:
        return False
    if kind is dict:
        if not value:
            return False
        if not PLAIN.issuperset(map(type, value)):
            return True
        value = value.values()
    elif kind is not list:
        return True
    return not PLAIN.issuperset(map(type, value)) and any(map(_has_objects, value))


def _is_lost(value: Any, annotation: Any) -> bool:
    """Say whether there is an object in the value that the annotation does not bring back."""
    kind: Any = type(value)
    if kind in PLAIN:
        return False
    expected, arguments = _expected(annotation)
    # What the annotation says of the parts decides for them; where it says nothing, what they are.
    if isinstance(value, _CONTAINERS) and not arguments and is_special(value):
        return True
    if isinstance(value, dict):
        item = arguments[1] if len(arguments) == 2 else Any
        return any(_is_lost(part, item) for part in value.values())
    if isinstance(value, _CONTAINERS):
        item = arguments[0] if arguments and arguments[1:] in ((), (...,)) else Any
        return any(_is_lost(part, item) for part in value)
    if _is_model(kind):
        return expected is not kind or bool(_kept_fields(value))
    return dataclasses.is_dataclass(kind) and expected is not kind


def _expected(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the only class that an annotation names besides None, and its arguments."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _expected(arguments[0])
    if origin in (Union, types.UnionType):
        others = [one for one in arguments if one is not type(None)]
        # Of several classes nobody says which it was.
        return _expected(others[0]) if len(others) == 1 else (None, ())
    return (annotation, ()) if origin is None else (origin, arguments)


# Bounded: classes made by a function would otherwise stay for ever.
@lru_cache(maxsize=256)
def _open_fields(kind: Any) -> dict[str, Any]:
    """Return the fields of a model that may hold objects, with what they are declared to be."""
    fields = {name: field.annotation for name, field in kind.model_fields.items()}
    return {name: a for name, a in fields.items() if not _is_plain(a)}


def _is_plain(annotation: Any) -> bool:
    expected, arguments = _expected(annotation)
    if expected is None:
        return all(map(_is_plain, get_args(annotation)))
    return expected in _SIMPLE or (
        bool(arguments) and expected in (list, set, tuple, dict) and all(map(_is_plain, arguments))
    )


@lru_cache(maxsize=256)
def _stand_in(kind: Any) -> Any:
    """Return a class of objects that are stored as models of a class, with other fields."""
    return type(kind.__name__, (_Dumped,), {"__module__": kind.__module__})


def keep_containers(saver: Any) -> None:
    """Have the serializer of a saver keep what such containers are, if it is `wire`'s."""
    serde = saver.serde
    # Serializers wrap each other, one that encrypts for example.
    while serde is not None and not hasattr(type(serde), "keeps_containers"):
        serde = getattr(serde, "serde", None)
    if serde is not None:
        serde.keeps_containers = True


class _Argument:
    """Stored like a secret: as a class and its only argument."""

    def __init__(self, argument: Any) -> None:
        self.argument = argument

    def get_secret_value(self) -> Any:
        """Return the argument."""
        return self.argument


class _Dumped:
    """Stored like a model: as a class and the dict of its fields."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def model_dump(self) -> dict[str, Any]:
        """Return the fields."""
        return self.fields


class _Arguments:
    """Stored like a `Send`: as a class and its two arguments."""

    def __init__(self, node: Any, arg: Any) -> None:
        self.node, self.arg = node, arg


_One: Final = {
    name: type(name, (_Argument,), {"__module__": module})
    for module, name in (
        *CLASSES,
        ("builtins", "type"),
        ("builtins", "set"),
        ("builtins", "frozenset"),
    )
}
_Pair: Final = {
    name: type(name, (_Arguments,), {"__module__": "collections"})
    for name in ("defaultdict", "deque")
}
