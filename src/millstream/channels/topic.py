"""A channel that collects writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Union

from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError

__all__ = ("Topic",)


class Topic(
    BaseChannel["Sequence[Value]", "Value | list[Value]", "list[Value]"],
    Generic[Value],
):
    """Collect the writes of a superstep in a list; a write that is a list adds its items.

    The list is cleared at the next superstep, unless `accumulate` is set.
    """

    __slots__ = ("accumulate", "value")

    value: list[Value] | Missing

    def __init__(self, typ: Any, accumulate: bool = False) -> None:
        self.typ = typ
        self.key = ""
        self.accumulate = accumulate
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, Topic) and value.accumulate == self.accumulate

    @property
    def ValueType(self) -> Any:
        """A sequence of the type given at construction."""
        return Sequence[self.typ]  # type: ignore[name-defined]  # a type made at run time

    @property
    def UpdateType(self) -> Any:
        """One item or a list of items."""
        try:
            return self.typ | list[self.typ]  # type: ignore[name-defined]  # as above
        except TypeError:
            # A type that is given as a text.
            return Union[self.typ, list[self.typ]]  # type: ignore[name-defined]  # as above

    @property
    def values(self) -> list[Value]:
        """The items, an empty list when the channel is empty."""
        return [] if self.value is MISSING else self.value

    def copy(self) -> Self:
        """Return a channel with the same items."""
        twin = self.__class__(self.typ, self.accumulate)
        twin.key = self.key
        twin.value = self.value
        return twin

    def checkpoint(self) -> list[Value]:
        """Return the items."""
        return self.values

    def from_checkpoint(self, checkpoint: list[Value] | tuple[Any, list[Value]] | Missing) -> Self:
        """Return a channel with the saved items.

        Old checkpoints hold a pair: the items seen so far and the items.
        """
        twin = self.__class__(self.typ, self.accumulate)
        twin.key = self.key
        if checkpoint is not MISSING:
            items = checkpoint[1] if isinstance(checkpoint, tuple) else checkpoint
            # An empty list means the same as no value, and only `MISSING` says so to the engine.
            twin.value = items or MISSING
        return twin

    def get(self) -> Sequence[Value]:
        """Return the items as a new list."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return list(self.value)

    def is_available(self) -> bool:
        """Whether there is an item."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value | list[Value]]) -> bool:
        """Replace or extend the items."""
        items: list[Value] = []
        for value in values:
            # Only lists, as in LangGraph: a tuple or set is one item.
            if isinstance(value, list):
                items.extend(value)
            else:
                items.append(value)
        current = self.value
        if not items:
            if self.accumulate or current is MISSING:
                return False
            self.value = MISSING
            return True
        # `current + items` and not `extend`, because copies and checkpoints share the list.
        self.value = items if current is MISSING or not self.accumulate else current + items
        return True
