"""What runs now, and what has run: decisions about the events of `tasks`, without I/O.

Tasks of one node that run at the same time are one `Group`, wherever they come from: nine sends to
`score` are nine of nine, and the same node in the graphs of several parallel tasks is one as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

Path: TypeAlias = "tuple[str, ...]"
"""Names of nodes: those whose graphs a node is in, and its own."""


@dataclass(slots=True)
class Group:
    """Tasks of one node, from the start of the first until none runs any more."""

    path: Path
    began: float
    running: dict[str, float] = field(default_factory=dict)
    """Task id -> when it began."""
    total: int = 0
    failed: int = 0
    asking: int = 0
    attempt: int = 1
    trouble: str = ""
    """What the last attempt has failed with."""

    @property
    def done(self) -> int:
        """How many have ended."""
        return self.total - len(self.running)


@dataclass(slots=True)
class Words:
    """What models have read and said, in tokens."""

    read: int = 0
    said: int = 0
    chunks: int = 0
    """Pieces that came from models; about as many as tokens, where nobody counts these."""

    @property
    def are_counted(self) -> bool:
        """Whether a model has said how many there were."""
        return bool(self.read or self.said)


@dataclass(slots=True)
class Ran:
    """What one node has done in all."""

    path: Path
    count: int = 0
    seconds: float = 0.0
    """How long at least one task of it ran: parallel ones do not add up."""
    failed: int = 0
    retries: int = 0
    words: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that has ended."""

    group: Group
    seconds: float

    @property
    def is_last(self) -> bool:
        """Whether no task of its group runs any more."""
        return not self.group.running


EachT = TypeVar("EachT", Group, Ran)


def path_of(namespace: Sequence[str], name: str) -> Path:
    """Return the path of a node in the graph of a namespace."""
    return (*(part.partition(":")[0] for part in namespace), name)


class Activity:
    """Everything that the events of a run's tasks say."""

    def __init__(self) -> None:
        self._groups: dict[Path, Group] = {}
        self._ran: dict[Path, Ran] = {}

    def start(self, path: Path, task_id: str, now: float) -> None:
        """Take note of a task that starts."""
        group = self._groups.get(path)
        if group is None or not group.running:
            self._groups.pop(path, None)
            group = self._groups[path] = Group(path, now)
        group.running[task_id] = now
        group.total += 1
        self.ran(path).count += 1

    def end(
        self, path: Path, task_id: str, now: float, *, has_failed: bool, is_asking: bool
    ) -> Ended | None:
        """Take note of a task that ends, unless nobody saw it start."""
        group = self._groups.get(path)
        began = None if group is None else group.running.pop(task_id, None)
        if group is None or began is None:
            return None
        group.failed += has_failed
        group.asking += is_asking
        ran = self.ran(path)
        ran.failed += has_failed
        if not group.running:
            ran.seconds += now - group.began
        return Ended(group, now - began)

    def retry(self, path: Path, attempt: int, trouble: str) -> None:
        """Take note of an attempt that failed and is followed by another."""
        self.ran(path).retries += 1
        group = self._groups.get(path)
        if group is not None:
            group.attempt = max(group.attempt, attempt + 1)
            group.trouble = trouble

    def stop(self, now: float) -> None:
        """Take note of the end of the run, and of all that did not come to an end."""
        for group in self._groups.values():
            if group.running:
                self.ran(group.path).seconds += now - group.began
                group.running.clear()

    def ran(self, path: Path) -> Ran:
        """Return what a node has done."""
        ran = self._ran.get(path)
        if ran is None:
            ran = self._ran[path] = Ran(path)
        return ran

    def running(self) -> Iterator[Group]:
        """Yield what runs now: nodes as they began, those of a nested graph below its node."""
        yield from _in_order([group for group in self._groups.values() if group.running])

    def rows(self) -> Iterator[Ran]:
        """Yield what each node has done, as they came, those of a nested graph below its node."""
        yield from _in_order(list(self._ran.values()))


def _in_order(found: list[EachT]) -> Iterator[EachT]:
    """Yield what lies below something after it, and else leave the order."""
    first: dict[Path, int] = {}
    for index, each in enumerate(found):
        for length in range(1, len(each.path) + 1):
            first.setdefault(each.path[:length], index)
    yield from sorted(
        found,
        key=lambda each: [first[each.path[:length]] for length in range(1, len(each.path) + 1)],
    )
