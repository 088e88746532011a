"""What is known of savers: when they have stored what they are given, and how much of it."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

_IN_MEMORY: Final = "langgraph.checkpoint.memory"
_BY_VERSION: Final = frozenset((_IN_MEMORY, "langgraph.checkpoint.postgres.base"))
"""Modules of savers that store a channel when its version is new, and not with every checkpoint."""
_STORING: Final = ("put", "put_writes", "aput", "aput_writes")


def stores_at_once(saver: BaseCheckpointSaver[Any]) -> bool:
    """Say whether storing is nothing but work of this thread: there is no use in doing it later."""
    kind: Any = type(saver)
    return _has_methods_of(kind, _IN_MEMORY, "InMemorySaver")


def stores_by_version(saver: BaseCheckpointSaver[Any]) -> bool:
    """Say whether values whose version is not new are not looked at."""
    return any(base.__module__ in _BY_VERSION for base in type(saver).__mro__)


# Bounded: classes made by a function would otherwise stay for ever.
@lru_cache(maxsize=64)
def _has_methods_of(kind: Any, module: str, name: str) -> bool:
    plain = getattr(sys.modules.get(module), name, None)
    return plain is not None and all(
        getattr(kind, method) is getattr(plain, method) for method in _STORING
    )
