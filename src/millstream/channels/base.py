"""The contract every channel keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from typing_extensions import Self

from millstream.constants import MISSING, Missing
from millstream.errors import EmptyChannelError

__all__ = ("BaseChannel",)

Value = TypeVar("Value")
Update = TypeVar("Update")
Checkpoint = TypeVar("Checkpoint")


class BaseChannel(ABC, Generic[Value, Update, Checkpoint]):
    """Hold one value of the state and decide how the writes of a superstep change it.

    The engine calls `update` at most once per superstep, with the writes in task order, and
    `get` only between updates. The channels of this package also keep what `get` returns in an
    attribute `value`, `MISSING` while the channel is empty, so that the engine can read it
    without a call; a channel written elsewhere need not have it. Their containers are replaced,
    never changed in place, so copies and checkpoints may share them.
    """

    __slots__ = ("key", "typ")

    is_transient: ClassVar[bool] = True
    """Whether `update([])`, a superstep without writes, may change the channel."""

    def __init__(self, typ: Any, key: str = "") -> None:
        self.typ = typ
        self.key = key

    @property
    @abstractmethod
    def ValueType(self) -> Any:
        """The type of what `get` returns."""

    @property
    @abstractmethod
    def UpdateType(self) -> Any:
        """The type of one write."""

    def copy(self) -> Self:
        """Return an independent channel with the same value."""
        # Enough for a channel written elsewhere. Those of this package do it faster, because a run
        # copies every channel that it writes.
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> Checkpoint | Missing:
        """Return what `from_checkpoint` needs, `MISSING` when there is nothing to save."""
        # None is a value like any other, so only the error says that there is none.
        try:
            return self.get()  # type: ignore[return-value]  # a plain channel saves its value
        except EmptyChannelError:
            return MISSING

    @abstractmethod
    def from_checkpoint(self, checkpoint: Checkpoint | Missing) -> Self:
        """Return a channel like this one, holding what `checkpoint` says."""

    @abstractmethod
    def get(self) -> Value:
        """Return the current value; raise `EmptyChannelError` when there is none."""

    def is_available(self) -> bool:
        """Whether `get` would return a value."""
        try:
            self.get()
        except EmptyChannelError:
            return False
        return True

    @abstractmethod
    def update(self, values: Sequence[Update]) -> bool:
        """Apply the writes of one superstep and return whether the channel changed.

        Raises `InvalidUpdateError` when the writes cannot be combined.
        """

    def consume(self) -> bool:
        """Note that a task triggered by this channel ran; return whether the channel changed."""
        # What a channel does here is work in every superstep, so the engine looks at compile time
        # which classes override this method, and never calls one that does not. The same holds for
        # `finish`.
        return False

    def finish(self) -> bool:
        """Note that the run would end now; return whether the channel changed."""
        return False
