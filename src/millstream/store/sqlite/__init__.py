"""Stores in a SQLite file."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-sqlite"):
    from langgraph.store.sqlite import (
        AsyncSqliteStore,
        SqliteStore,
    )

__all__ = (
    "AsyncSqliteStore",
    "SqliteStore",
)
