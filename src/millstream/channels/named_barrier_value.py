"""Channels that wait for a set of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic

from typing_extensions import Self

from millstream.channels.base import BaseChannel, Value
from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError, InvalidUpdateError

__all__ = ("NamedBarrierValue", "NamedBarrierValueAfterFinish")


def _with_names(
    key: str, names: set[Value], seen: set[Value], values: Sequence[Value]
) -> set[Value]:
    # The same set comes back when nothing is new: callers compare by identity.
    for value in values:
        if value not in names:
            raise InvalidUpdateError(f"At key '{key}': Value {value} not in {names}")
        if value not in seen:
            # A new set, because copies of the channel and checkpoints share the old one.
            seen = seen | {value}
    return seen


class NamedBarrierValue(BaseChannel["Value | None", Value, "set[Value]"], Generic[Value]):
    """Become available once every one of `names` was written; the value is `None`.

    This is what triggers a node behind a waiting edge. It starts over when it is consumed.
    """

    __slots__ = ("names", "seen", "value")

    is_transient: ClassVar[bool] = False
    value: Missing | None

    def __init__(self, typ: Any, names: set[Value]) -> None:
        self.typ = typ
        self.key = ""
        self.names = names
        self.seen: set[Value] = set()
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, NamedBarrierValue) and value.names == self.names

    @property
    def ValueType(self) -> Any:
        """The type given at construction."""
        return self.typ

    @property
    def UpdateType(self) -> Any:
        """The type given at construction."""
        return self.typ

    def copy(self) -> Self:
        """Return a channel that saw the same names."""
        twin = self.__class__(self.typ, self.names)
        twin.key = self.key
        twin.seen = self.seen
        twin.value = self.value
        return twin

    def checkpoint(self) -> set[Value]:
        """Return the names seen."""
        return self.seen

    def from_checkpoint(self, checkpoint: set[Value] | Missing) -> Self:
        """Return a channel that saw the saved names."""
        twin = self.__class__(self.typ, self.names)
        twin.key = self.key
        if checkpoint is not MISSING:
            twin.seen = checkpoint
            # Worked out, not stored: a graph that was changed since may wait for other names.
            if twin.seen == twin.names:
                twin.value = None
        return twin

    def get(self) -> None:
        """Return `None` once all names were seen."""
        if self.value is MISSING:
            raise EmptyChannelError()

    def is_available(self) -> bool:
        """Whether all names were seen."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Note the names; raise `InvalidUpdateError` for a foreign one."""
        seen = _with_names(self.key, self.names, self.seen, values)
        if seen is self.seen:
            return False
        self.seen = seen
        if seen == self.names:
            self.value = None
        return True

    def consume(self) -> bool:
        """Start over, if all names were seen."""
        if self.value is MISSING:
            return False
        self.seen = set()
        self.value = MISSING
        return True


class NamedBarrierValueAfterFinish(
    BaseChannel["Value | None", Value, "tuple[set[Value], bool]"], Generic[Value]
):
    """Become available once all names were written and the run would otherwise end.

    This is what triggers a deferred node behind a waiting edge.
    """

    __slots__ = ("names", "seen", "value")

    is_transient: ClassVar[bool] = False
    value: Missing | None

    def __init__(self, typ: Any, names: set[Value]) -> None:
        self.typ = typ
        self.key = ""
        self.names = names
        self.seen: set[Value] = set()
        self.value = MISSING

    def __eq__(self, value: object) -> bool:
        return isinstance(value, NamedBarrierValueAfterFinish) and value.names == self.names

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
        """Whether the end of the run was reached with all names seen."""
        return self.value is not MISSING

    def copy(self) -> Self:
        """Return a channel in the same state."""
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> tuple[set[Value], bool]:
        """Return the names seen and whether the channel is available."""
        # Unlike above, having seen all names does not tell whether the end was reached.
        return (self.seen, self.value is not MISSING)

    def from_checkpoint(self, checkpoint: tuple[set[Value], bool] | Missing) -> Self:
        """Return a channel in the saved state."""
        twin = self.__class__(self.typ, self.names)
        twin.key = self.key
        if checkpoint is not MISSING:
            twin.seen, finished = checkpoint
            if finished:
                twin.value = None
        return twin

    def get(self) -> None:
        """Return `None` once the channel is available."""
        if self.value is MISSING:
            raise EmptyChannelError()

    def is_available(self) -> bool:
        """Whether all names were seen and the end of the run was reached."""
        return self.value is not MISSING

    def update(self, values: Sequence[Value]) -> bool:
        """Note the names; raise `InvalidUpdateError` for a foreign one."""
        seen = _with_names(self.key, self.names, self.seen, values)
        if seen is self.seen:
            return False
        self.seen = seen
        return True

    def consume(self) -> bool:
        """Start over, if the channel is available."""
        if self.value is MISSING:
            return False
        self.seen = set()
        self.value = MISSING
        return True

    def finish(self) -> bool:
        """Become available, if all names were seen."""
        # Where some name is missing the run ends without the node: nobody is left to write it.
        if self.value is not MISSING or self.seen != self.names:
            return False
        self.value = None
        return True
