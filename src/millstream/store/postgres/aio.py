"""A store in PostgreSQL, for async programs."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.store.postgres.aio import AsyncPostgresStore

__all__ = ("AsyncPostgresStore",)
