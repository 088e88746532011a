"""A channel that is never saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError, InvalidUpdateError

__all__ = ("UntrackedValue",)


class UntrackedValue(BaseChannel[Value, Value, Value], Generic[Value]):
    """Keep the last value during a run; a resumed run starts without it.

    With `guard` a second write in one superstep is an error; without, the last one wins.
    """

    __slots__ = ("guard", "value")

    is_transient: ClassVar[bool] = False
    value: Value | Missing

    def __init__(self, typ: Any, guard: bool = True) -> None:
        self.typ = typ
        self.key = ""
        self.guard = guard
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, UntrackedValue) and value.guard == self.guard

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
        # Copies within a run keep the value; only what goes through a checkpoint loses it.
        twin = self.from_checkpoint(MISSING)
        twin.value = self.value
        return twin

    def checkpoint(self) -> Value | Missing:
        """Return `MISSING`."""
        # The value may be anything, one that no saver can store too: a connection, a lock.
        return MISSING

    def from_checkpoint(self, checkpoint: Value | Missing) -> Self:
        """Return an empty channel, whatever `checkpoint` is."""
        twin = self.__class__(self.typ, self.guard)
        twin.key = self.key
        return twin

    def get(self) -> Value:
        """Return the last value written."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return self.value

    def is_available(self) -> bool:
        """Whether a value was written in this run."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Replace the value."""
        if not values:
            return False
        if len(values) == 1 or not self.guard:
            self.value = values[-1]
            return True
        raise InvalidUpdateError(
            f"At key '{self.key}': UntrackedValue(guard=True) can receive only one value per step."
            " Use guard=False if you want to store any one of multiple values."
        )
