"""Savers in PostgreSQL, for async programs."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.checkpoint.postgres.aio import (
        AsyncPostgresSaver,
        AsyncShallowPostgresSaver,
        Conn,
    )

__all__ = (
    "AsyncPostgresSaver",
    "AsyncShallowPostgresSaver",
    "Conn",
)
