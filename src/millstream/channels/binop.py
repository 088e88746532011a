"""A channel that reduces its writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic

from langgraph.checkpoint.serde.types import _DeltaSnapshot
from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.channels.reducing import (
    OVERWRITE_TYPES,
    TWO_OVERWRITES,
    factory_of,
    is_same_operator,
    replacement_in,
)
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError, InvalidUpdateError

__all__ = ("BinaryOperatorAggregate",)


class BinaryOperatorAggregate(BaseChannel[Value, Value, Value], Generic[Value]):
    """Fold every write into the value: `operator(value, write)`.

    The value starts as `typ()` where that is possible (a list for an abstract sequence, and so
    on); otherwise the first write becomes the value without a call of the operator. An
    `Overwrite` replaces the value and beats the other writes of its superstep.
    """

    __slots__ = ("factory", "operator", "value")

    is_transient: ClassVar[bool] = False
    value: Value | Missing

    def __init__(self, typ: Any, operator: Callable[[Value, Value], Value]) -> None:
        self.typ = typ
        self.key = ""
        self.operator = operator
        self.factory = factory_of(typ)
        self.value = _first_value(self.factory)

    def __eq__(self, value: object) -> bool:
        return isinstance(value, BinaryOperatorAggregate) and is_same_operator(
            self.operator, value.operator
        )

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
        twin = self._twin()
        twin.value = self.value
        return twin

    def checkpoint(self) -> Value | Missing:
        """Return the value."""
        return self.value

    def from_checkpoint(self, checkpoint: Value | Missing) -> Self:
        """Return a channel holding `checkpoint`, or the first value when it is `MISSING`.

        A snapshot left by a `DeltaChannel` of the same key is unpacked.
        """
        twin = self._twin()
        if checkpoint is MISSING:
            twin.value = _first_value(self.factory)
        elif isinstance(checkpoint, _DeltaSnapshot):
            twin.value = checkpoint.value
        else:
            twin.value = checkpoint
        return twin

    def get(self) -> Value:
        """Return the reduced value."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return self.value

    def is_available(self) -> bool:
        """Whether there is a value."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Fold the writes in order; raise `InvalidUpdateError` for two `Overwrite`s."""
        if not values:
            return False
        reduced = self.value
        operator = self.operator
        if len(values) == 1 and reduced is not MISSING:
            # The common case, without the bookkeeping that several writes need.
            value = values[0]
            if not isinstance(value, OVERWRITE_TYPES):
                self.value = operator(reduced, value)
                return True
        has_overwrite = False
        for value in values:
            if isinstance(value, OVERWRITE_TYPES):
                replacement = replacement_in(value)
                if replacement is not MISSING:
                    if has_overwrite:
                        raise InvalidUpdateError(TWO_OVERWRITES)
                    reduced = replacement
                    has_overwrite = True
                    continue
            if has_overwrite:
                continue
            reduced = value if reduced is MISSING else operator(reduced, value)
        self.value = reduced
        return True

    def _twin(self) -> Self:
        # The constructor inspects the type, which is slow, and a twin's type is known.
        if type(self) is not BinaryOperatorAggregate:
            twin = self.__class__(self.typ, self.operator)
        else:
            twin = self.__class__.__new__(self.__class__)
            twin.typ = self.typ
            twin.operator = self.operator
            twin.factory = self.factory
        twin.key = self.key
        return twin


def _first_value(factory: Any) -> Any:
    # `typ` may be anything a user annotated: that it cannot be called without arguments is
    # normal, and its own errors belong to the first write, not to the construction of a graph.
    try:
        return factory()
    except Exception:
        return MISSING
