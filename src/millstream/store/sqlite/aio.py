"""A store in a SQLite file, for async programs."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-sqlite"):
    from langgraph.store.sqlite.aio import AsyncSqliteStore

__all__ = ("AsyncSqliteStore",)
