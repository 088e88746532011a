"""Checkpoints: the versions of channels, and which of them each node has seen.

Only a run that saves keeps a `Lineage`; without one there are no versions at all, because within
one run the set of channels updated by the last superstep says everything the planner needs. The
checkpoint's layout, its id and its channel names are those of the langgraph-checkpoint format 4,
so threads are interchangeable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import INTERRUPT

if TYPE_CHECKING:
    from millstream.core.cells import Cells
    from millstream.core.tasks import Task

FORMAT: Final = 4
INPUT_SEEN: Final = "__input__"

Stamp = Callable[[int], tuple[str, str]]
"""Step -> (new checkpoint id, ISO 8601 time)."""


@dataclass(slots=True)
class SaveCheckpoint:
    """Command: store this checkpoint."""

    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    parent_id: str | None
    new_versions: dict[str, Any]


@dataclass(slots=True)
class Lineage:
    """The chain of checkpoints that one run continues."""

    stamp: Stamp
    next_version: Callable[[Any], Any]
    parents: Mapping[str, str]
    """Namespace -> checkpoint id of the enclosing graphs."""
    is_saved_at_end: bool = False
    """Only the last checkpoint of the run is stored: all of them follow the one loaded."""
    id: str = ""
    parent_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    saved_versions: dict[str, Any] = field(default_factory=dict)
    updated: list[str] | None = None

    def load(self, checkpoint: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Continue from a stored checkpoint."""
        self.id = checkpoint["id"]
        if self.is_saved_at_end:
            self.parent_id = self.id
        self.versions = dict(checkpoint["channel_versions"])
        self.saved_versions = dict(self.versions)
        self.seen = {name: dict(seen) for name, seen in checkpoint["versions_seen"].items()}
        self.updated = checkpoint.get("updated_channels")
        self.metadata = dict(metadata)

    def see(self, tasks: Iterable[Task]) -> None:
        """Note that the tasks have seen what triggered them."""
        versions = self.versions
        for task in tasks:
            self.seen.setdefault(task.node.name, {}).update(
                {name: versions[name] for name in task.triggers if name in versions}
            )

    def see_everything(self, observer: str) -> None:
        """Note that `observer` (a reserved name) has seen all there is."""
        self.seen.setdefault(observer, {}).update(self.versions)

    def bump(self, touched: Sequence[str]) -> None:
        """Give the channels a version newer than any other."""
        if touched:
            current = max(self.versions.values(), default=None)
            version = self.next_version(current)
            self.versions.update(dict.fromkeys(touched, version))

    def is_triggered(self, node: str, trigger: str) -> bool:
        """Say whether the node has not yet seen the channel's newest value."""
        version = self.versions.get(trigger)
        if version is None:
            return False
        last = self.seen.get(node, {}).get(trigger)
        return last is None or bool(version > last)

    def has_news(self) -> bool:
        """Say whether any channel changed since the run last stopped for a person."""
        seen = self.seen.get(INTERRUPT, {})
        return any(
            name not in seen or version > seen[name] for name, version in self.versions.items()
        )

    def record(
        self, cells: Cells, source: str, step: int, updated: Iterable[str] | None
    ) -> SaveCheckpoint:
        """Make a new checkpoint of the current state the head of the chain."""
        if not self.is_saved_at_end:
            self.parent_id = self.id or None
        self.id, ts = self.stamp(step)
        self.seen.setdefault(INPUT_SEEN, {})
        self.updated = None if updated is None else sorted(updated)
        self.metadata = {"source": source, "step": step, "parents": dict(self.parents)}
        saved = self.saved_versions
        new = {n: v for n, v in self.versions.items() if n not in saved or v > saved[n]}
        self.saved_versions = dict(self.versions)
        return SaveCheckpoint(
            checkpoint={
                "v": FORMAT,
                "ts": ts,
                "id": self.id,
                "channel_values": cells.saved_values(self.versions),
                "channel_versions": dict(self.versions),
                "versions_seen": {name: dict(seen) for name, seen in self.seen.items()},
                "updated_channels": self.updated,
            },
            metadata=self.metadata,
            parent_id=self.parent_id,
            new_versions=new,
        )
