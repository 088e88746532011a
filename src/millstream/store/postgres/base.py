"""A store in PostgreSQL."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.store.postgres.base import (
        ANNIndexConfig,
        BasePostgresStore,
        HNSWConfig,
        IVFFlatConfig,
        PoolConfig,
        PostgresIndexConfig,
        PostgresStore,
    )

__all__ = (
    "ANNIndexConfig",
    "BasePostgresStore",
    "HNSWConfig",
    "IVFFlatConfig",
    "PoolConfig",
    "PostgresIndexConfig",
    "PostgresStore",
)
