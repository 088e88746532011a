"""A saver in a SQLite file."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-sqlite"):
    from langgraph.checkpoint.sqlite import SqliteSaver

__all__ = ("SqliteSaver",)
