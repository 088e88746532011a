"""What is known of savers: when they store what they are given, how much of it, what they take.

Savers that others wrote for an older version of the langgraph-checkpoint package take fewer
arguments: `put_writes` no path of the task, `get_next_version` no channel.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from inspect import Parameter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_IN_MEMORY: Final = "langgraph.checkpoint.memory"
_BY_VERSION: Final = frozenset(
    (_IN_MEMORY, "langgraph.checkpoint.postgres.base", "millstream.journal.saver")
)
"""Modules of savers that store a channel when its version is new, and not with every checkpoint."""
_AT_ONCE: Final = (
    (_IN_MEMORY, "InMemorySaver"),
    ("millstream.journal.memory", "MemoryJournal"),
)
"""Savers whose storing is nothing but work."""
_SYNC_ALONE: Final = (
    ("langgraph.checkpoint.sqlite", "SqliteSaver"),
    ("langgraph.checkpoint.postgres", "PostgresSaver"),
)
"""Savers whose async methods only say that there are none."""
_BASE: Final = "BaseCheckpointSaver."
_STORING: Final = ("put", "put_writes", "aput", "aput_writes")


def stores_at_once(saver: BaseCheckpointSaver[Any]) -> bool:
    """Say whether storing is nothing but work of this thread: there is no use in doing it later."""
    kind: Any = type(saver)
    return any(_has_methods_of(kind, *plain) for plain in _AT_ONCE)


def stores_together(saver: BaseCheckpointSaver[Any]) -> bool:
    """Say whether it takes several operations at once, in one transaction.

    A subclass that does something of its own with one of them is given each by itself.
    """
    kind: Any = type(saver)
    return _has_methods_of(kind, "millstream.journal.saver", "Journal")


def has_async_methods(saver: BaseCheckpointSaver[Any]) -> bool:
    """Say whether async runs can use it, as far as its class says."""
    kind: Any = type(saver)
    method = getattr(kind, "aget_tuple", None)
    is_lacking = getattr(method, "__qualname__", "").startswith(_BASE)
    return not is_lacking and (kind.__module__, kind.__name__) not in _SYNC_ALONE


def stores_by_version(saver: BaseCheckpointSaver[Any]) -> bool:
    """Say whether values whose version is not new are not looked at."""
    # By the module of any base, which need not be imported to be asked for.
    return any(base.__module__ in _BY_VERSION for base in type(saver).__mro__)


# Bounded: classes made by a function would otherwise stay for ever.
@lru_cache(maxsize=64)
def _has_methods_of(kind: Any, module: str, name: str) -> bool:
    # Not imported: if the module is not there, the saver is none of its.
    plain = getattr(sys.modules.get(module), name, None)
    return (
        plain is not None
        and issubclass(kind, plain)
        and all(getattr(kind, method) is getattr(plain, method) for method in _STORING)
    )


def next_version(saver: BaseCheckpointSaver[Any]) -> Callable[[Any], Any]:
    """Return what gives the version after another one, or the first after None."""
    method: Any = saver.get_next_version
    how = _how(method, 2, "channel")
    if how == "position":
        return lambda current: method(current, None)
    if how == "name":
        return lambda current: method(current, channel=None)
    next_of: Callable[[Any], Any] = method
    return next_of


def path_argument(method: Any) -> str | None:
    """Say how `put_writes` is told the path of a task, if at all: by position, by name."""
    return _how(method, 4, "task_path")


_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _how(method: Any, count: int, name: str) -> str | None:
    """Say how a method takes its argument of that number: by position, by name or, None, not."""
    function = getattr(method, "__func__", None)
    # By function: a bound method in the cache would keep its saver alive.
    if function is not None:
        return _takes(function, count + 1, name)
    return _takes(method, count, name)


@lru_cache(maxsize=128)
def _takes(function: Any, count: int, name: str) -> str | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return "position"  # nobody knows: as the package's own savers
    kinds = [parameter.kind for parameter in parameters]
    positions = sum(kind in _POSITIONAL for kind in kinds)
    if positions >= count or Parameter.VAR_POSITIONAL in kinds:
        return "position"
    named = any(parameter.name == name for parameter in parameters)
    return "name" if named or Parameter.VAR_KEYWORD in kinds else None
