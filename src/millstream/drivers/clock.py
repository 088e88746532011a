"""The time, and the ids that are made of it."""

from __future__ import annotations

from datetime import datetime, timezone

from langgraph.checkpoint.base.id import uuid6


def now() -> str:
    """Return the time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat()


def new_id() -> str:
    """Return the id of a checkpoint that will not be stored."""
    return str(uuid6(clock_seq=-2))


def stamp(step: int) -> tuple[str, str]:
    """Return the id of a checkpoint that is made now, and the time."""
    return str(uuid6(clock_seq=step)), now()
