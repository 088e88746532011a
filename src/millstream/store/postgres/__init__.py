"""Stores in PostgreSQL."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.store.postgres import (
        AsyncPostgresStore,
        PoolConfig,
        PostgresStore,
    )

__all__ = (
    "AsyncPostgresStore",
    "PoolConfig",
    "PostgresStore",
)
