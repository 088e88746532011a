"""A cache in memory."""

from langgraph.cache.memory import InMemoryCache

__all__ = ("InMemoryCache",)
