"""The contract of a managed value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeAlias, TypeGuard, TypeVar

__all__ = ("ManagedValueMapping", "ManagedValueSpec")

V = TypeVar("V")


class Scratchpad(Protocol):
    """What a managed value may know of the run: the superstep and the one it must not reach."""

    @property
    def step(self) -> int:
        """The superstep that runs."""

    @property
    def stop(self) -> int:
        """The superstep at which the recursion limit ends the run."""


class ManagedValue(ABC, Generic[V]):
    """Compute a state key each time a node reads it.

    The class itself is the annotation of the key; it is never instantiated.
    """

    @staticmethod
    @abstractmethod
    def get(scratchpad: Scratchpad) -> V:
        """Return the value for the superstep that runs."""


ManagedValueSpec: TypeAlias = type[ManagedValue[Any]]
ManagedValueMapping: TypeAlias = dict[str, ManagedValueSpec]


def is_managed_value(value: Any) -> TypeGuard[ManagedValueSpec]:
    """Whether `value` is a class of managed values."""
    # Not isclass(), which takes `list[int]` for a class on Python 3.10.
    return issubclass(type(value), type) and issubclass(value, ManagedValue)
