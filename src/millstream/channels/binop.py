"""A channel that reduces its writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any, ClassVar, Generic, get_args

from langgraph.checkpoint.serde.types import _DeltaSnapshot
from typing_extensions import Self

from millstream.channels._reducing import (
    OVERWRITE_TYPES,
    TWO_OVERWRITES,
    factory_of,
    first_value_of,
    is_same_operator,
    is_same_value,
    note_reducer,
    replacement_in,
)
from millstream.channels.base import BaseChannel, Value
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
        self.value = first_value_of(self.factory)

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

    @property
    def has_start(self) -> bool:
        """Say whether the value starts as something else than `typ()`."""
        return self.factory is not factory_of(self.typ)

    def starting_with(self, factory: Callable[[], Value]) -> Self:
        """Return a channel like this one whose value starts as what the factory makes."""
        first: Any = first_value_of(factory)
        if first is MISSING or is_same_value(first, first_value_of(self.factory)):
            return self
        twin = self._twin()
        twin.factory = factory
        twin.value = first
        return twin

    def begun_with(self, write: Value | Missing) -> Value:
        """Return the value of a thread whose input is the write, `MISSING` for none.

        The input stands in the place of the first value, as an argument does in that of its
        default. A reducer of collections gets it together with an empty one, and so may change
        it; for others there is nothing to begin with that would change nothing.
        """
        value = first_value_of(self.factory) if write is MISSING else write
        # Of the type, whatever the channel starts with: the input has taken the place of that.
        empty: Any = first_value_of(factory_of(self.typ))
        has_size = isinstance(empty, Sized)
        return self.operator(empty, value) if has_size else value

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
            twin.value = first_value_of(self.factory)
        # The key was a `DeltaChannel` when the thread was stored.
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
        try:
            if len(values) == 1 and reduced is not MISSING:
                # The common case, without the bookkeeping that several writes need.
                value = values[0]
                if not isinstance(value, OVERWRITE_TYPES):
                    self.value = operator(reduced, value)
                    return True
            self.value = self._folded(operator, reduced, values)
        except Exception as error:
            note_reducer(error, self.key, operator, reduced, values)
            raise
        return True

    @staticmethod
    def _folded(operator: Callable[[Any, Any], Any], reduced: Any, values: Sequence[Any]) -> Any:
        # Writes before the Overwrite are reduced only to be thrown away. To look for it first would
        # cost every superstep without one, and those are nearly all.
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
            # Without a first value the first write is the value: there is nothing to call the
            # operator with.
            reduced = value if reduced is MISSING else operator(reduced, value)
        return reduced

    def _twin(self) -> Self:
        # The constructor inspects the type, which is slow, and a twin's type is known.
        if type(self) is not BinaryOperatorAggregate:
            twin = self.__class__(self.typ, self.operator)
            twin.factory = self.factory
        else:
            twin = self.__class__.__new__(self.__class__)
            twin.typ = self.typ
            twin.operator = self.operator
            twin.factory = self.factory
        twin.key = self.key
        return twin


class OptionalAggregate(BinaryOperatorAggregate[Any]):
    """Fold every write into the value, where there may be none: `Optional[Annotated[...]]`.

    The reducer knows nothing of `None`. So a write of `None` takes the value away, and the next
    write is folded into `typ()`, or is the value where that is not possible.
    """

    __slots__ = ("_inner",)

    def __init__(self, typ: Any, operator: Callable[[Any, Any], Any]) -> None:
        # `Optional[...]` cannot be called, so the value starts as `MISSING`, which counts as None
        # here.
        super().__init__(typ, operator)
        self._inner = factory_of(next(arg for arg in get_args(typ) if arg is not type(None)))

    def update(self, values: Sequence[Any]) -> bool:
        """Fold the writes in order; raise `InvalidUpdateError` for two `Overwrite`s."""
        if not values:
            return False
        # `_folded` must not take `MISSING` for a value to be replaced by the first write: `_fold`
        # decides that here, because the first write may be None.
        value = None if self.value is MISSING else self.value
        self.value = self._folded(self._fold, value, values)
        return True

    def _fold(self, value: Any, write: Any) -> Any:
        if write is None:
            return None
        if value is None:
            value = first_value_of(self._inner)
        return write if value is MISSING else self.operator(value, write)
