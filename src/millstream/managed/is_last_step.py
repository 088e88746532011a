"""How many supersteps the recursion limit leaves."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from millstream.managed.base import ManagedValue, Scratchpad

__all__ = ("IsLastStep", "RemainingSteps", "RemainingStepsManager")


class IsLastStepManager(ManagedValue[bool]):
    """Whether this superstep is the last that the recursion limit allows."""

    @staticmethod
    def get(scratchpad: Scratchpad) -> bool:
        """Compare the superstep with the limit."""
        return scratchpad.step == scratchpad.stop - 1


IsLastStep: TypeAlias = Annotated[bool, IsLastStepManager]


class RemainingStepsManager(ManagedValue[int]):
    """How many supersteps the recursion limit allows, this one included."""

    @staticmethod
    def get(scratchpad: Scratchpad) -> int:
        """Subtract the superstep from the limit."""
        return scratchpad.stop - scratchpad.step


RemainingSteps: TypeAlias = Annotated[int, RemainingStepsManager]
