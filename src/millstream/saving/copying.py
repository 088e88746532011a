"""Copies of values that share nothing with the original that code of a node could change.

What is stored later than it came up must be what it was then. `fixed` copies containers, messages,
models and dataclasses by itself, because `copy.deepcopy` takes several times as long, and leaves
the rest to it. A value that cannot be copied is returned as it is: no saver can store it either,
or it is nobody's to change.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import is_dataclass
from enum import Enum
from functools import lru_cache
from itertools import chain, repeat
from operator import attrgetter, is_
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from millstream.types import Send

Copier: TypeAlias = Callable[[Any, Any], Any]

UNCHANGING: Final = frozenset(
    (
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        range,
        type,
        frozenset,
        datetime.datetime,
        datetime.date,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        uuid.UUID,
        pathlib.PosixPath,
        pathlib.WindowsPath,
        re.Pattern,
        ZoneInfo,
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.ModuleType,
    )
)
"""Types of values that cannot be changed in place."""
_CONTAINERS: Final = frozenset((list, dict, set))
_values: Final = dict.values
_dict_of: Final = attrgetter("__dict__")
_UNCHANGING_BASES: Final = (Enum, BaseException, type, pathlib.PurePath)


def isolated(value: Any, earlier: Any = None) -> Any:
    """Return a copy of the value that stays as it is.

    `earlier` is the copy of what was there before: messages in it that have not changed are used
    again.
    """
    kind: Any = type(value)
    if kind in UNCHANGING:
        return value
    try:
        return (_COPIERS.get(kind) or _copier(kind))(value, earlier)
    except Exception:  # whatever a class raises that refuses to be copied
        return value


class Series:
    """The copies of what one channel holds, from one checkpoint to the next.

    A list of messages grows, and most of it never changes. So it is known of its models what their
    fields held, by identity, and which of that can be changed in place: to see that nothing was
    takes a few loops in C, and no code for each of them.
    """

    __slots__ = ("_copies", "_empty", "_fields", "_models", "_parts", "last", "version")

    def __init__(self) -> None:
        self.last: Any = None
        """The copy that was made last."""
        self.version: Any = None
        """The version of the channel that it is of."""
        self._forget()

    def add(self, value: Any) -> Any:
        """Return a copy of the value that stays as it is."""
        # A list that began as it did last time: only what was added is copied.
        count = len(self._models)
        if count and type(value) is list and self._is_unchanged(value[:count]):
            added = value[count:]
            held = _held(added)
            copies = list(map(isolated, added))
            twin = [*self.last, *copies]
        else:
            self._forget()
            added, held = value, _held(value)
            twin = copies = isolated(value, self.last)
        if held is None or copies is value or not self._note(added, held, copies):
            self._forget()
        self.last = twin
        return twin

    def keep(self, twin: Any) -> Any:
        """Return a copy that was made already."""
        self._forget()
        self.last = twin
        return twin

    def _forget(self) -> None:
        self._models: list[Any] = []
        self._fields: list[Any] = []
        """What the fields of the models held, one after the other."""
        self._empty: list[Any] = []
        """Those containers among it that were empty."""
        self._parts: list[Any] = []
        """What else of it can be changed in place."""
        self._copies: list[Any] = []
        """The copies of that."""

    def _is_unchanged(self, models: list[Any]) -> bool:
        """Say whether these are the models that were copied last, as they were."""
        if len(models) < len(self._models) or not all(map(is_, models, self._models)):
            return False
        held = list(chain.from_iterable(map(_values, map(_dict_of, models))))
        # By identity: who sets a field sets another object, and equal ones need not be compared.
        # What was changed in place is found below.
        if len(held) != len(self._fields) or not all(map(is_, held, self._fields)):
            return False
        try:
            # An empty container is not compared with its copy, it is just still empty.
            return not any(self._empty) and self._parts == self._copies
        except Exception:  # arrays, for example, have no single answer
            return False

    def _note(self, models: list[Any], held: list[list[Any]], twins: list[Any]) -> bool:
        """Note what models held when they were copied; say whether that can be told again."""
        parts: list[Any] = []
        copies: list[Any] = []
        for model, fields, twin in zip(models, held, twins, strict=True):
            self._fields += fields
            own = (model.__pydantic_fields_set__, model.__pydantic_extra__)
            parts += (*fields, *own, model.__pydantic_private__)
            own = (twin.__pydantic_fields_set__, twin.__pydantic_extra__)
            copies += (*_values(twin.__dict__), *own, twin.__pydantic_private__)
        if len(parts) != len(copies):
            return False
        self._models += models
        for part, copied in zip(parts, copies, strict=True):
            # Most messages have several, and a look at each is cheaper than a comparison.
            if type(part) in _CONTAINERS and not copied:
                self._empty.append(part)
            elif type(part) not in UNCHANGING:
                self._parts.append(part)
                self._copies.append(copied)
        try:
            # Some objects do not equal their copies, and would seem changed each time.
            return self._parts == self._copies
        except Exception:  # as above
            return False


def _held(value: Any) -> list[list[Any]] | None:
    """Return what the fields of the models in a list hold, None for what is no such list."""
    if type(value) is not list:
        return None
    kinds: set[Any] = set(map(type, value))
    if not all(_copier(kind) is _model for kind in kinds):
        return None
    return list(map(list, map(_values, map(_dict_of, value))))


def _list(value: list[Any], earlier: Any) -> list[Any]:
    if UNCHANGING.issuperset(map(type, value)):
        return value.copy()
    if type(earlier) is list:
        # By place: lists grow at their end, so an item stands where its copy stood.
        return list(map(isolated, value, chain(earlier, repeat(None))))
    return list(map(isolated, value))


def _dict(value: Any, earlier: Any) -> Any:
    twin = value.copy()  # of the same class, and at once: another thread may change the original
    if not UNCHANGING.issuperset(map(type, twin.values())):
        before = earlier if isinstance(earlier, dict) else {}
        for key, item in twin.items():
            if type(item) not in UNCHANGING:
                twin[key] = isolated(item, before.get(key))
    return twin


def _tuple(value: tuple[Any, ...], earlier: Any) -> tuple[Any, ...]:
    if UNCHANGING.issuperset(map(type, value)):
        return value
    return tuple(map(isolated, value))


def _set(value: set[Any], earlier: Any) -> set[Any]:
    return value.copy()


def _bytearray(value: bytearray, earlier: Any) -> bytearray:
    return value.copy()


def _deque(value: deque[Any], earlier: Any) -> deque[Any]:
    return deque(map(isolated, value.copy()), value.maxlen)


def _send(value: Send, earlier: Any) -> Send:
    return Send(value.node, isolated(value.arg), timeout=value.timeout)


# Bounded: classes made by a function would otherwise stay for ever.
@lru_cache(maxsize=256)
def _copier(kind: Any) -> Copier:
    """Return what copies instances of a class that nothing is known of in advance."""
    if issubclass(kind, _UNCHANGING_BASES):
        return _itself
    # The class says how it is copied.
    if "__deepcopy__" in vars(kind):
        return _deep
    if is_dataclass(kind):
        return _dataclass
    if hasattr(kind, "__pydantic_validator__"):
        return _model
    if issubclass(kind, tuple) and hasattr(kind, "_make"):
        return _namedtuple
    return _deep


def _itself(value: Any, earlier: Any) -> Any:
    return value


def _deep(value: Any, earlier: Any) -> Any:
    return copy.deepcopy(value)


def _namedtuple(value: Any, earlier: Any) -> Any:
    return value._make(map(isolated, value))


def _model(value: Any, earlier: Any) -> Any:
    kind: Any = type(value)
    if type(earlier) is kind and _is_unchanged(value, earlier):
        return earlier
    # Past validation, which would refuse or change what the program has put in, and costs more.
    twin = kind.__new__(kind)
    _set_attribute(twin, "__dict__", _dict(value.__dict__, None))
    _set_attribute(twin, "__pydantic_fields_set__", value.__pydantic_fields_set__.copy())
    _set_attribute(twin, "__pydantic_extra__", isolated(value.__pydantic_extra__))
    _set_attribute(twin, "__pydantic_private__", isolated(value.__pydantic_private__))
    return twin


def _is_unchanged(value: Any, earlier: Any) -> bool:
    fields, before = value.__dict__, earlier.__dict__
    try:
        return (
            fields == before
            # 1, 1.0 and True are equal.
            and all(map(is_, map(type, fields.values()), map(type, before.values())))
            and value.__pydantic_fields_set__ == earlier.__pydantic_fields_set__
            and value.__pydantic_extra__ == earlier.__pydantic_extra__
            and value.__pydantic_private__ == earlier.__pydantic_private__
        )
    except Exception:  # arrays, for example, have no single answer
        return False


def _dataclass(value: Any, earlier: Any) -> Any:
    # By the class's own means: not all that an instance has is a field.
    twin = copy.copy(value)
    for name in type(value).__dataclass_fields__:
        item = getattr(twin, name)
        if type(item) not in UNCHANGING:
            _set_attribute(twin, name, isolated(item))  # also of one that is frozen
    return twin


_set_attribute: Final = object.__setattr__

_COPIERS: Final[dict[type[Any], Copier]] = {
    list: _list,
    dict: _dict,
    tuple: _tuple,
    set: _set,
    defaultdict: _dict,
    OrderedDict: _dict,
    Counter: _dict,
    deque: _deque,
    bytearray: _bytearray,
    Send: _send,
}
