"""A channel that reduces its writes, and of which a checkpoint stores only what was written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic

from langgraph.checkpoint.serde.types import _DeltaSnapshot
from typing_extensions import Self

from millstream.channels._reducing import (
    OVERWRITE_TYPES,
    TWO_OVERWRITES,
    factory_of,
    first_value_of,
    is_same_operator,
    is_same_value,
    replacement_in,
)
from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError, InvalidUpdateError

__all__ = ("DeltaChannel",)

DEFAULT_SNAPSHOT_FREQUENCY = 100


class DeltaChannel(BaseChannel[Any, Any, Any], Generic[Value]):
    """Reduce the writes of a superstep at once: `reducer(value, writes)` returns the new value.

    A checkpoint does not hold the value. It is rebuilt from the writes that are stored anyway, so
    a list that grows with every superstep costs what is new, not what it has become. Every
    `snapshot_frequency` updates the whole value is stored, which bounds the rebuilding.

    Rebuilding reduces the writes of many supersteps at once. The reducer must return the same for
    them as for one superstep after the other, and must not depend on anything but its arguments.

    The value starts as `typ()`: a list unless `typ` or the annotated type says otherwise. An
    `Overwrite` replaces the value and beats the other writes of its superstep.

    Args:
        reducer: Given the value and the list of writes; returns the new value.
        typ: Class of the value, made without arguments.
        snapshot_frequency: After how many updates the whole value is stored.

    Raises:
        ValueError: A `snapshot_frequency` that is not positive.

    Example:
        >>> from typing import Annotated
        >>> from typing_extensions import TypedDict
        >>> from millstream.channels.delta import DeltaChannel
        >>> from millstream.graph import START, StateGraph
        >>> def extend(lines: list[str], writes: list[list[str]]) -> list[str]:
        ...     return [*lines, *(line for write in writes for line in write)]
        >>> class State(TypedDict):
        ...     lines: Annotated[list[str], DeltaChannel(extend)]
        >>> builder = StateGraph(State).add_node("add", lambda state: {"lines": ["two"]})
        >>> builder.add_edge(START, "add").compile().invoke({"lines": ["one"]})
        {'lines': ['one', 'two']}
    """

    __slots__ = ("reducer", "snapshot_frequency", "start", "value")

    is_transient: ClassVar[bool] = False
    value: Any

    def __init__(
        self,
        reducer: Callable[[Any, Sequence[Any]], Any],
        typ: type[Value] | None = None,
        *,
        snapshot_frequency: int = DEFAULT_SNAPSHOT_FREQUENCY,
    ) -> None:
        if snapshot_frequency <= 0:
            raise ValueError(f"snapshot_frequency must be a positive int, got {snapshot_frequency}")
        # Here `typ` is what makes the first value: rebuilding from stored writes starts with it.
        super().__init__(factory_of(list if typ is None else typ))
        self.reducer = reducer
        self.snapshot_frequency = snapshot_frequency
        self.start: Callable[[], Any] | None = None
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return (
            isinstance(value, DeltaChannel)
            and is_same_operator(self.reducer, value.reducer)
            and self.snapshot_frequency == value.snapshot_frequency
        )

    @property
    def ValueType(self) -> Any:
        """The class of the value."""
        return self.typ

    @property
    def UpdateType(self) -> Any:
        """The class of the value."""
        return self.typ

    @property
    def has_start(self) -> bool:
        """Say whether a thread starts with a value other than `typ()`."""
        return self.start is not None

    def starting_with(self, factory: Callable[[], Any]) -> Self:
        """Return an empty channel like this one for threads that start with what the factory makes.

        It is written by the input, because a channel without writes is `typ()` for every reader.
        """
        twin = self._twin()
        first = first_value_of(factory)
        if first is not MISSING and not is_same_value(first, first_value_of(self.typ)):
            twin.start = factory
        return twin

    def typed(self, typ: Any) -> Self:
        """Return an empty channel like this one for values of another type."""
        twin = self._twin()
        twin.typ = factory_of(typ)
        return twin

    def copy(self) -> Self:
        """Return an independent channel with a shallow copy of the value."""
        twin = self._twin()
        # Reducers may change the value in place, and the copy is of a run that goes another way.
        twin.value = copy.copy(self.value) if self.value is not MISSING else MISSING
        return twin

    def checkpoint(self) -> Missing:
        """Return `MISSING`: what is stored of the channel are its writes."""
        return MISSING

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """Return a channel that holds a snapshot, or a bare value that another channel left.

        `MISSING` stands for the first value, `typ()`.
        """
        twin = self._twin()
        if checkpoint is MISSING:
            twin.value = self.typ()
        elif isinstance(checkpoint, _DeltaSnapshot):
            twin.value = checkpoint.value
        else:
            twin.value = checkpoint
        return twin

    def replay_writes(self, writes: Iterable[tuple[str, str, Any]]) -> None:
        """Apply the stored writes of past supersteps, `(task id, channel, value)` in order."""
        pending: list[Any] = []
        for _, _, write in writes:
            replacement = _replacement(write)
            if replacement is MISSING:
                pending.append(write)
            else:
                # What came before is replaced. What comes after it is of later supersteps: one that
                # has an Overwrite beside other writes is stored whole, see `core.deltas`.
                self._replace(replacement)
                pending.clear()
        if pending:
            self._reduce(pending)

    def get(self) -> Any:
        """Return the reduced value."""
        if self.value is MISSING:
            raise EmptyChannelError()
        return self.value

    def is_available(self) -> bool:
        """Whether there is a value."""
        return self.value is not MISSING

    def update(self, values: Sequence[Any]) -> bool:
        """Reduce the writes at once; raise `InvalidUpdateError` for two `Overwrite`s."""
        if not values:
            return False
        replacements = [r for r in map(_replacement, values) if r is not MISSING]
        if len(replacements) > 1:
            raise InvalidUpdateError(TWO_OVERWRITES)
        if replacements:
            self._replace(replacements[0])
        else:
            self._reduce(list(values))
        return True

    def _reduce(self, writes: list[Any]) -> None:
        # Unlike a `BinaryOperatorAggregate` it never makes a write its value: the reducer is given
        # lists of writes, and only it knows how to make a value of them.
        value = self.typ() if self.value is MISSING else self.value
        self.value = self.reducer(value, writes)

    def _replace(self, replacement: Any) -> None:
        # Copied, because the reducer may change the value in place, and what was written belongs to
        # the node. None begins anew.
        self.value = self.typ() if replacement is None else copy.copy(replacement)

    def _twin(self) -> Self:
        # Without the constructor: a subclass may want other arguments.
        twin = self.__class__.__new__(self.__class__)
        twin.key = self.key
        twin.typ = self.typ
        twin.reducer = self.reducer
        twin.snapshot_frequency = self.snapshot_frequency
        twin.start = self.start
        twin.value = MISSING
        return twin


def replaces_value(write: Any) -> bool:
    """Say whether the write is an `Overwrite` in any of its forms."""
    return _replacement(write) is not MISSING


def _replacement(write: Any) -> Any:
    return replacement_in(write) if isinstance(write, OVERWRITE_TYPES) else MISSING
