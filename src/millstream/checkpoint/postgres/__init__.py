"""Savers in PostgreSQL."""

from millstream._base.distributions import provided_by

with provided_by("langgraph-checkpoint-postgres"):
    from langgraph.checkpoint.postgres import (
        BasePostgresSaver,
        Conn,
        PostgresSaver,
        ShallowPostgresSaver,
    )

__all__ = (
    "BasePostgresSaver",
    "Conn",
    "PostgresSaver",
    "ShallowPostgresSaver",
)
