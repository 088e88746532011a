"""A store in memory, for tests and small programs."""

from langgraph.store.memory import InMemoryStore

__all__ = ("InMemoryStore",)
