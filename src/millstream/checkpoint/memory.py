"""A saver in memory, for tests and small programs."""

from langgraph.checkpoint.memory import (
    InMemorySaver,
    MemorySaver,
    PersistentDict,
)

__all__ = (
    "InMemorySaver",
    "MemorySaver",
    "PersistentDict",
)
