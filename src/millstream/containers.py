"""Containers that a serializer takes for plain ones, and stores without what they are.

A `Counter`, an `OrderedDict` and a `defaultdict` would come back as dicts, a `deque` without its
limit. They are stored in forms that `JsonPlusSerializer` has for other classes: as a call of their
class. So both libraries read them, and a serializer with a list of allowed classes reads a dict.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, Final

from millstream.types import Send

CLASSES: Final = (("collections", "Counter"), ("collections", "OrderedDict"))
"""Module and name of what is stored so; harmless to read."""
_EXAMPLES: Final[dict[Any, Any]] = {list: [], dict: {}, int: 0, float: 0.0, str: "", set: set()}
"""Factories of a `defaultdict` that can be stored, as classes of these."""
PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))
"""Types of values that hold no others."""
_SPECIAL: Final = frozenset((Counter, OrderedDict, defaultdict))


def is_special(value: Any) -> bool:
    """Say whether there is such a container in the value."""
    kind = type(value)
    if kind in PLAIN:
        return False
    if kind in _SPECIAL or (kind is deque and value.maxlen is not None):
        return True
    if isinstance(value, dict):
        items: Any = value.values()
    elif isinstance(value, (list, tuple, deque)):
        items = value
    elif kind is Send:
        return is_special(value.arg)
    elif dataclasses.is_dataclass(kind):
        items = [getattr(value, name, None) for name in kind.__dataclass_fields__]
    else:
        return False
    return not PLAIN.issuperset(map(type, items)) and any(map(is_special, items))


def packed(value: Any, *, is_strict: bool) -> Any:
    """Return the value with such containers as what their class is called with.

    A serializer that `is_strict` would read arguments in the place of a `defaultdict`.
    """
    kind: Any = type(value)
    if kind in PLAIN or not is_special(value):
        return value
    if kind is Send:
        return Send(value.node, packed(value.arg, is_strict=is_strict), timeout=value.timeout)
    if isinstance(value, dict):
        items = {key: packed(item, is_strict=is_strict) for key, item in value.items()}
        factory = getattr(value, "default_factory", None)
        if kind is defaultdict and factory in _EXAMPLES and not is_strict:
            return _Pair["defaultdict"](_One["type"](_EXAMPLES[factory]), items)
        return _One[kind.__name__](items) if kind in (Counter, OrderedDict) else items
    if isinstance(value, (list, tuple, deque)):
        parts = [packed(item, is_strict=is_strict) for item in value]
        if isinstance(value, deque):
            return _Pair["deque"](parts, value.maxlen) if value.maxlen is not None else deque(parts)
        return value._make(parts) if hasattr(value, "_make") else parts
    twin = copy.copy(value)
    for name in kind.__dataclass_fields__:
        object.__setattr__(twin, name, packed(getattr(twin, name), is_strict=is_strict))
    return twin


def keep_containers(saver: Any) -> None:
    """Have the serializer of a saver keep what such containers are, if it is `wire`'s."""
    serde = saver.serde
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


class _Arguments:
    """Stored like a `Send`: as a class and its two arguments."""

    def __init__(self, node: Any, arg: Any) -> None:
        self.node, self.arg = node, arg


_One: Final = {
    name: type(name, (_Argument,), {"__module__": module})
    for module, name in (*CLASSES, ("builtins", "type"))
}
_Pair: Final = {
    name: type(name, (_Arguments,), {"__module__": "collections"})
    for name in ("defaultdict", "deque")
}
