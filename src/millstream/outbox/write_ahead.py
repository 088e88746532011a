"""A write-ahead log: all that a run says is in it before what it tells of is given to the saver.

A run that has one says everything to it at once, from whichever thread, and has no other reader.
What a run says of a superstep and what it stores of it are two writes, and its process may end
between them. So the run says three things more: that it begins to tell of something that it is
going to store (`promise`), what that is (`Promise.bind`), and that it is stored (`Promise.keep`).
The log can hold back from its readers what is not true yet, and forget it if it never becomes true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

from millstream.constants import ERROR, ERROR_SOURCE_NODE, INTERRUPT, RESUME

if TYPE_CHECKING:
    from millstream.modes.parts import Namespace


class Place(NamedTuple):
    """What is stored: a checkpoint, or what a task wrote next to one."""

    ns: str
    checkpoint_id: str
    task_id: str = ""
    outcome: str = ""
    """What has become of the task, see `outcome_of`: more than once something is stored of it."""


_FINISHED: Final = "finished"
_OF_STOPPED: Final = (INTERRUPT, RESUME, ERROR, ERROR_SOURCE_NODE)


def outcome_of(writes: Iterable[tuple[str, Any]]) -> str:
    """Return what has become of a task of which this is stored.

    It has finished, or it has stopped and was given so many answers until then: what it has asked
    before stays where it is stored when it goes on.
    """
    answers: Any = ()
    for channel, value in writes:
        if channel not in _OF_STOPPED:
            return _FINISHED
        if channel == RESUME:
            answers = value if isinstance(value, (list, tuple)) else (value,)
    return f"stopped after {len(answers)} answers"


def has_come_to(outcome: str, wanted: str) -> bool:
    """Say whether a task of which this has become has been there, or is there."""
    return _rank(outcome) >= _rank(wanted)


def _rank(outcome: str) -> float:
    return inf if outcome == _FINISHED else int(outcome.split()[2])


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


class Promises:
    """The promises of graphs that run elsewhere, by the numbers that they have there."""

    def __init__(self) -> None:
        self._made: dict[int, Promise] = {}
        self._unbound: set[int] = set()

    @property
    def are_bound(self) -> bool:
        """Whether it is known of all what they are for."""
        return not self._unbound

    def make(self, number: int, promise: Promise) -> None:
        """Take note of one."""
        self._made[number] = promise
        self._unbound.add(number)

    def bind(self, number: int, place: Place) -> None:
        """Say what one is for."""
        self._unbound.discard(number)
        self._made[number].bind(place)

    def keep(self, number: int) -> None:
        """Say that one is kept."""
        self._unbound.discard(number)
        self._made.pop(number).keep()

    def keep_all(self) -> None:
        """Let go of what will not be said any more: whoever has promised it is gone."""
        for number in [*self._made]:
            self.keep(number)
