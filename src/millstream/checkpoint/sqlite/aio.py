"""A saver in a SQLite file, for async programs."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-sqlite"):
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

__all__ = ("AsyncSqliteSaver",)
