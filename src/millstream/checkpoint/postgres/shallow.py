"""Savers in PostgreSQL that keep only the latest checkpoint."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.checkpoint.postgres.shallow import (
        AsyncShallowPostgresSaver,
        ShallowPostgresSaver,
    )

__all__ = (
    "AsyncShallowPostgresSaver",
    "ShallowPostgresSaver",
)
