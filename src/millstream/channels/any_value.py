"""A channel for writers that agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError

__all__ = ("AnyValue",)


class AnyValue(BaseChannel[Value, Value, Value], Generic[Value]):
    """Keep the last write of a superstep, assuming that all its writes are equal.

    A superstep without a write empties the channel.
    """

    __slots__ = ("value",)

    value: Value | Missing

    def __init__(self, typ: Any, key: str = "") -> None:
        self.typ = typ
        self.key = key
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, AnyValue)

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
        # By the class of this one, here and in all channels: subclasses are copied as what they
        # are.
        twin = self.__class__(self.typ, self.key)
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
        """Keep the last write, or empty the channel when there is none."""
        if values:
            # Whether the writes agree is not checked: any of them will do, and the last is the one
            # that LangGraph keeps.
            self.value = values[-1]
            return True
        if self.value is MISSING:
            return False
        self.value = MISSING
        return True
