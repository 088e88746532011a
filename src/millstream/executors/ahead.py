"""The write-ahead log of a run, for graphs that a node calls where its run is not.

What they tell comes to the run in the order in which they tell it, and so does what they say of it
here. So the log holds back what is not stored yet as if they ran there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from millstream.drivers.elsewhere import NodeEvent
from millstream.outbox.write_ahead import Place, Promises

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.executors.line import Line
    from millstream.modes.parts import Namespace


class RemoteAhead:
    """Says to the log of the run what nested graphs say."""

    def __init__(self, line: Line) -> None:
        self._line: Final = line
        self._numbers: Final = itertools.count()

    def append(self, item: Any) -> None:
        """Do nothing: what nested graphs tell goes to whoever looks at them."""

    def promise(self) -> RemotePromise:
        """Say that what follows tells of something that is going to be stored."""
        promise = RemotePromise(self._line, next(self._numbers))
        self._line.emit(Promised(promise.number))
        return promise

    def go_on(self, namespace: Namespace, metadata: Mapping[str, Any]) -> None:
        """Say that a graph goes on from a checkpoint."""
        self._line.emit(GoneOn(namespace, dict(metadata)))

    def flush(self) -> None:
        """Do nothing: what is stored waits where it is stored."""

    async def aflush(self) -> None:
        """Do nothing: what is stored waits where it is stored."""


class RemotePromise:
    """A promise, known by its number."""

    __slots__ = ("_line", "number")

    def __init__(self, line: Line, number: int) -> None:
        self._line = line
        self.number = number

    def bind(self, place: Place) -> None:
        """Say what it is for."""
        self._line.emit(PromiseBound(self.number, place))

    def keep(self) -> None:
        """Say that it is kept."""
        self._line.emit(PromiseKept(self.number))


@dataclass(frozen=True, slots=True)
class Promised(NodeEvent):
    """A graph that the node calls begins to tell of something that it is going to store."""

    number: int

    async def deliver(self, context: TaskContext) -> None:
        """Promise it."""
        if context.promises is None:
            context.promises = Promises()
        ahead = context.run.request.ahead
        assert ahead is not None, "a run without a log ahead has none elsewhere"
        context.promises.make(self.number, ahead.promise())


@dataclass(frozen=True, slots=True)
class PromiseBound(NodeEvent):
    """It is known what is going to be stored."""

    number: int
    place: Place

    async def deliver(self, context: TaskContext) -> None:
        """Tell it."""
        if context.promises is not None:
            context.promises.bind(self.number, self.place)


@dataclass(frozen=True, slots=True)
class PromiseKept(NodeEvent):
    """It is stored, or there was nothing to store."""

    number: int

    async def deliver(self, context: TaskContext) -> None:
        """Tell it."""
        if context.promises is not None:
            context.promises.keep(self.number)


@dataclass(frozen=True, slots=True)
class GoneOn(NodeEvent):
    """A graph that the node calls goes on from a checkpoint."""

    namespace: Namespace
    metadata: dict[str, Any]

    @property
    def what(self) -> str:
        """What is sent, for those who are told that it cannot be."""
        return "the metadata of a checkpoint that a graph goes on from"

    async def deliver(self, context: TaskContext) -> None:
        """Tell it."""
        ahead = context.run.request.ahead
        if ahead is not None:
            ahead.go_on(self.namespace, self.metadata)
