"""Channels that keep the last value written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import (
    EmptyChannelError,
    ErrorCode,
    InvalidUpdateError,
    create_error_message,
)

__all__ = ("LastValue", "LastValueAfterFinish")


class LastValue(BaseChannel[Value, Value, Value], Generic[Value]):
    """Keep the last value; accept one write per superstep."""

    __slots__ = ("value",)

    is_transient: ClassVar[bool] = False
    value: Value | Missing

    def __init__(self, typ: Any, key: str = "") -> None:
        self.typ = typ
        self.key = key
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, LastValue)

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
        twin = self.__class__(self.typ, self.key)
        twin.value = self.value
        return twin

    def checkpoint(self) -> Value | Missing:
        """Return the value."""
        return self.value

    def from_checkpoint(self, checkpoint: Value | Missing) -> Self:
        """Return a channel holding `checkpoint`."""
        twin = self.__class__(self.typ, self.key)
        twin.value = checkpoint
        return twin

    def get(self) -> Value:
        """Return the last value written."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return self.value

    def is_available(self) -> bool:
        """Whether a value was written."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Replace the value; raise `InvalidUpdateError` for more than one write."""
        # Two tasks of a superstep know nothing of each other: which of their writes counts is for a
        # reducer to say.
        if len(values) == 1:
            self.value = values[0]
            return True
        if not values:
            return False
        raise InvalidUpdateError(
            create_error_message(
                message=(
                    f"At key '{self.key}': Can receive only one value per step. "
                    "Use an Annotated key to handle multiple values."
                ),
                error_code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
            )
        )


class LastValueAfterFinish(
    BaseChannel[Value, Value, "tuple[Value, bool]"],
    Generic[Value],
):
    """Keep the last value, but show it only when the run would otherwise end.

    This is what triggers a deferred node. A new write hides the value again.
    """

    __slots__ = ("pending", "value")

    is_transient: ClassVar[bool] = False
    pending: Value | Missing
    value: Value | Missing

    def __init__(self, typ: Any, key: str = "") -> None:
        self.typ = typ
        self.key = key
        self.pending = MISSING
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, LastValueAfterFinish)

    @property
    def ValueType(self) -> Any:
        """The type given at construction."""
        return self.typ

    @property
    def UpdateType(self) -> Any:
        """The type given at construction."""
        return self.typ

    @property
    def finished(self) -> bool:
        """Whether the end of the run was reached since the last write."""
        return self.value is not MISSING

    def copy(self) -> Self:
        """Return a channel in the same state."""
        twin = self.__class__(self.typ, self.key)
        twin.pending = self.pending
        twin.value = self.value
        return twin

    def checkpoint(self) -> tuple[Value, bool] | Missing:
        """Return the value and whether it is shown."""
        if self.pending is MISSING:
            return MISSING
        # Both, so that a thread which is loaded between `finish` and the deferred node still has
        # the node due, and one loaded before it has it waiting.
        return (self.pending, self.value is not MISSING)

    def from_checkpoint(self, checkpoint: tuple[Value, bool] | Missing) -> Self:
        """Return a channel in the saved state."""
        twin = self.__class__(self.typ, self.key)
        if checkpoint is not MISSING:
            twin.pending, finished = checkpoint
            if finished:
                twin.value = twin.pending
        return twin

    def get(self) -> Value:
        """Return the value, once it is shown."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return self.value

    def is_available(self) -> bool:
        """Whether the value is shown."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Keep the last of the writes and hide it."""
        if not values:
            return False
        # Whatever the channel had shown, there is work again: the node waits for the end anew. The
        # writes of several edges mean the same, so any of them will do.
        self.pending = values[-1]
        self.value = MISSING
        return True

    def consume(self) -> bool:
        """Forget a value that was shown."""
        if self.value is MISSING:
            return False
        self.pending = MISSING
        self.value = MISSING
        return True

    def finish(self) -> bool:
        """Show the value, if there is one and it is hidden."""
        if self.pending is MISSING or self.value is not MISSING:
            return False
        self.value = self.pending
        return True
