"""A cache in a SQLite file."""

from langgraph.cache.sqlite import SqliteCache

__all__ = ("SqliteCache",)
