"""A write-ahead log: all that a run says is in it before what it tells of is given to the saver.

A run that has one says everything to it at once, from whichever thread, and has no other reader.
What a run says of a superstep and what it stores of it are two writes, and its process may end
between them. So the run says three things more: that it begins to tell of something that it is
going to store (`promise`), what that is (`Promise.bind`), and that it is stored (`Promise.keep`).
The log can hold back from its readers what is not true yet, and forget it if it never becomes true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from millstream.modes.parts import Namespace


class Place(NamedTuple):
    """What is stored: a checkpoint, or what a task wrote next to one."""

    ns: str
    checkpoint_id: str
    task_id: str = ""


class Promise(Protocol):
    """That something is going to be stored of which a run tells."""

    def bind(self, place: Place) -> None:
        """Take note what it is: it was said by now, and is given to the saver."""

    def keep(self) -> None:
        """Take note that it is stored, or that there is nothing to store after all."""


@runtime_checkable
class WriteAheadLog(Protocol):
    """The log of one run, nested ones included. All of it can be called from any thread."""

    def append(self, item: Any) -> object:
        """Take an item of the run's stream as soon as the run tells it. Must not raise."""

    def promise(self) -> Promise:
        """Take note that what follows tells of something that is going to be stored."""

    def go_on(self, namespace: Namespace, metadata: Mapping[str, Any]) -> None:
        """Take note that a graph goes on from a checkpoint with these metadata.

        It begins with telling the state that is in it.
        """

    def flush(self) -> None:
        """Wait until everything is safe that was appended before."""

    async def aflush(self) -> None:
        """Wait until everything is safe that was appended before."""
