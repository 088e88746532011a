"""Values computed from the run instead of kept in the state. Read `base` first."""

from __future__ import annotations

from millstream.managed.is_last_step import IsLastStep, RemainingSteps

__all__ = ("IsLastStep", "RemainingSteps")
