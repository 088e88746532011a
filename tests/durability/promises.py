"""What a killed run may repeat: the numbers that `docs/durability.md` gives and tests assert."""

from __future__ import annotations

from typing import Final

from millstream.saving import flush_task, sync_flusher

UNSTORED: Final = max(sync_flusher.MAX_IN_FLIGHT, flush_task.MAX_IN_FLIGHT) + 1
"""Operations that may be unstored while nodes run: those that wait and the one being stored."""

PER_SUPERSTEP: Final = 2
"""Operations of a superstep whose tasks ran, at least: what one task wrote, and a checkpoint."""

REPEATED: Final[dict[str, int | None]] = {
    "sync": 0,
    "async": UNSTORED // PER_SUPERSTEP,
    "exit": None,
}
"""Durability -> finished supersteps that may run again, None for all of the call."""


def may_repeat(durability: str) -> int:
    """Return how many finished supersteps may run again."""
    count = REPEATED[durability]
    assert count is not None
    return count
