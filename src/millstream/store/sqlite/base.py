"""A store in a SQLite file."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-sqlite"):
    from langgraph.store.sqlite.base import (
        BaseSqliteStore,
        SqliteIndexConfig,
        SqliteStore,
    )

__all__ = (
    "BaseSqliteStore",
    "SqliteIndexConfig",
    "SqliteStore",
)
