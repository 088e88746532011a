"""A channel whose value lives for one superstep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError, InvalidUpdateError

__all__ = ("EphemeralValue",)


class EphemeralValue(BaseChannel[Value, Value, Value], Generic[Value]):
    """Keep the value for the superstep after the write, then forget it.

    With `guard` a second write in one superstep is an error; without, the last one wins.
    """

    __slots__ = ("guard", "value")

    value: Value | Missing

    def __init__(self, typ: Any, guard: bool = True) -> None:
        self.typ = typ
        self.key = ""
        self.guard = guard
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, EphemeralValue) and value.guard == self.guard

    @property
    def ValueType(self) -> Any:
        """The type given at construction."""
        return self.typ

    @property
    def UpdateType(self) -> Any:
        """The type given at construction."""
        return self.typ

    def copy(self) -> Self:
        """Return a channel holding the same object."""
        return self.from_checkpoint(self.value)

    def checkpoint(self) -> Value | Missing:
        """Return the value."""
        return self.value

    def from_checkpoint(self, checkpoint: Value | Missing) -> Self:
        """Return a channel holding `checkpoint`."""
        twin = self.__class__(self.typ, self.guard)
        twin.key = self.key
        twin.value = checkpoint
        return twin

    def get(self) -> Value:
        """Return the value of the last superstep."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return self.value

    def is_available(self) -> bool:
        """Whether the last superstep wrote."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Replace the value, or empty the channel when there is no write."""
        # The engine calls this with no writes at the end of each superstep, as long as there is a
        # value.
        if not values:
            if self.value is MISSING:
                return False
            self.value = MISSING
            return True
        # The guard is against two nodes that write without knowing of each other, not against two
        # values one after the other.
        if len(values) == 1 or not self.guard:
            self.value = values[-1]
            return True
        raise InvalidUpdateError(
            f"At key '{self.key}': EphemeralValue(guard=True) can receive only one value per step."
            " Use guard=False if you want to store any one of multiple values."
        )
