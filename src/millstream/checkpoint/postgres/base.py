"""What the savers in PostgreSQL have in common."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.checkpoint.postgres.base import BasePostgresSaver

__all__ = ("BasePostgresSaver",)
