"""The interface of caches."""

from langgraph.cache.base import (
    BaseCache,
    FullKey,
    Namespace,
)

__all__ = (
    "BaseCache",
    "FullKey",
    "Namespace",
)
