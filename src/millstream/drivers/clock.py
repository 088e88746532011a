"""The time, and the ids that are made of it."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """Return the time, ISO 8601."""
    return datetime.now(timezone.utc).isoformat()


def new_id() -> str:
    """Return the id of a checkpoint that will not be stored."""
    return _ordered_id(-2)


def stamp(step: int) -> tuple[str, str]:
    """Return the id of a checkpoint that is made now, and the time."""
    return _ordered_id(step), now()


def _ordered_id(step: int) -> str:
    # Late, because it brings all that savers are made of.
    from langgraph.checkpoint.base.id import uuid6

    return str(uuid6(clock_seq=step))
