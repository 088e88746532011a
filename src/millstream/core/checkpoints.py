"""Checkpoints: the versions of channels, and which of them each node has seen.

Only a run that saves keeps a `Lineage`; without one there are no versions at all, because within
one run the set of channels updated by the last superstep says everything the planner needs. The
checkpoint's layout, its id and its channel names are those of the langgraph-checkpoint format 4,
so threads are interchangeable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import INTERRUPT, MISSING
from millstream.core.versions import is_newer, newest

if TYPE_CHECKING:
    from millstream.core.cells import Cells
    from millstream.core.deltas import DeltaLog
    from millstream.core.written import Written

FORMAT: Final = 4
INPUT_SEEN: Final = "__input__"
STOP: Final = "breakpoint"
"""Stored: at which kind of breakpoint the run may have been about to stop, and in which checkpoint:
a copy that a program has changed is none at which a run stopped."""
BEFORE: Final = "before"
AFTER: Final = "after"
OLD_TRIGGERS: Final = "old_triggers"
"""Not stored: in a checkpoint of an older format, what triggered the nodes of its superstep."""
REBUILT: Final = "rebuilt"
"""Not stored: channels whose value no saver has under their version, because it was rebuilt."""

UNKNOWN: Final = object()
"""Said to a saver: nobody says which checkpoint a run takes for the newest."""
BRANCH: Final = object()
"""Said to a saver: the run leaves newer checkpoints beside it on purpose."""

Stamp = Callable[[int], tuple[str, str]]
"""Step -> (new checkpoint id, ISO 8601 time)."""


@dataclass(slots=True)
class SaveCheckpoint:
    """Command: store this checkpoint."""

    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    parent_id: str | None
    new_versions: dict[str, Any]
    seers: Collection[str] | None = None
    """Nodes that have seen something since the parent, None if nobody knows; if it is known, then
    `new_versions` is all that has another version than in the parent."""


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
    loaded_id: str = ""
    """The checkpoint the run goes on from."""
    parent_id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Node -> the versions it has seen. Replaced, never changed: checkpoints share them."""
    newest: Any = None
    """The highest version there is; `MISSING` until somebody asks for it."""
    seers: set[str] | None = None
    """Nodes that have seen something since the last checkpoint that was made here."""
    unsaved: set[str] = field(default_factory=set)
    """Channels whose versions no checkpoint has; with `is_saved_at_end`, since the one loaded."""
    updated: list[str] | None = None
    old_triggers: Mapping[str, Sequence[str]] | None = None
    """What triggered the nodes of the superstep, where an older format had other names for it."""
    rebuilt: Collection[str] = ()
    """Channels that once were delta channels, as long as no checkpoint has their value."""
    deltas: DeltaLog | None = None
    """None for a graph without delta channels."""
    stop: str = ""
    """The kind of breakpoint that may be at the checkpoint: `BEFORE` the nodes that run next, or
    `AFTER` those that ran last."""

    def load(
        self,
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any],
        written: Iterable[str] = (),
    ) -> None:
        """Continue from a stored checkpoint, next to which writes to channels are stored."""
        self.id = self.loaded_id = checkpoint["id"]
        self.seers = None
        self.versions = dict(checkpoint["channel_versions"])
        # Found out when something changes: a look at all channels is not for runs that only read.
        self.newest = MISSING
        # Under the versions they have, savers may know no values: they had other names.
        self.unsaved = set(self.versions) if checkpoint.get("v", FORMAT) < FORMAT else set()
        # A program that writes checkpoints by hand may leave this out, or say None.
        self.seen = dict(checkpoint.get("versions_seen") or {})
        self.updated = checkpoint.get("updated_channels")
        self.old_triggers = checkpoint.get(OLD_TRIGGERS)
        stop, stopped_in = checkpoint.get(STOP) or ("", "")
        self.stop = stop if stopped_in == self.id else ""
        self.rebuilt = checkpoint.get(REBUILT) or ()
        self.metadata = dict(metadata)
        if self.deltas is not None:
            self.deltas.load(metadata, dict(self.versions), written)

    def move(self) -> None:
        """Go on in another namespace, where nothing is stored yet."""
        # No checkpoint here has the values under the versions they have, so the next one stores
        # them all.
        self.id = self.loaded_id = ""
        self.seers = None
        self.unsaved = set(self.versions)
        if self.deltas is not None:
            self.deltas.forget_parent()

    def mark_seen(self, tasks: Iterable[Written]) -> None:
        """Note that the tasks have seen what triggered them."""
        versions = self.versions
        for task in tasks:
            # A new dict each time: checkpoints that were made share the old one.
            new = {name: versions[name] for name in task.triggers if name in versions}
            old = self.seen.get(task.node.name)
            self.seen[task.node.name] = {**old, **new} if old else new
            if self.seers is not None:
                self.seers.add(task.node.name)

    def mark_all_seen(self, observer: str) -> None:
        """Note that `observer` (a reserved name) has seen all there is."""
        self.seen[observer] = {**self.seen.get(observer, {}), **self.versions}
        if self.seers is not None:
            self.seers.add(observer)

    def bump(self, touched: Sequence[str]) -> None:
        """Give the channels a version newer than any other."""
        if touched:
            if self.newest is MISSING:
                self.newest = newest(self.versions.values())
            # One version for all: what a superstep wrote was written at once. The saver says what
            # comes next, because it must sort what it made.
            self.newest = self.next_version(self.newest)
            self.versions.update(dict.fromkeys(touched, self.newest))
            self.unsaved.update(touched)

    def is_triggered(self, node: str, trigger: str) -> bool:
        """Say whether the node has not yet seen the channel's newest value."""
        version = self.versions.get(trigger)
        if version is None:
            return False
        # Of a channel that the node never saw any version is news.
        last = self.seen.get(node, {}).get(trigger)
        return last is None or is_newer(version, last)

    def has_news(self) -> bool:
        """Say whether any channel changed since the run last stopped for a person."""
        # Under the name of an interrupt, as in LangGraph, which must see the same stops in a
        # thread.
        seen = self.seen.get(INTERRUPT, {})
        return any(
            name not in seen or is_newer(version, seen[name])
            for name, version in self.versions.items()
        )

    def record(
        self, cells: Cells, source: str, step: int, updated: Iterable[str] | None, stop: str = ""
    ) -> SaveCheckpoint:
        """Make a new checkpoint of the current state the head of the chain.

        `stop` is the kind of breakpoint at which the run may be about to stop.
        """
        # With `exit` the checkpoints between are never stored, and none may be the parent of
        # another.
        self.parent_id = (self.loaded_id if self.is_saved_at_end else self.id) or None
        self.id, ts = self.stamp(step)
        # What comes now is in today's format.
        self.old_triggers = None
        self.stop = stop
        # LangGraph's checkpoints have it, always empty.
        self.seen.setdefault(INPUT_SEEN, {})
        # Sorted, so that the same run stores the same bytes.
        self.updated = None if updated is None else sorted(updated)
        self.metadata = {"source": source, "step": step, "parents": dict(self.parents)}
        if self.rebuilt:
            # Savers store a value once for each version of it, and of these have none under the
            # present one.
            self._renew([name for name in self.rebuilt if name not in self.unsaved])
            self.rebuilt = ()
        whole: Collection[str] = ()
        if self.deltas is not None:
            self.deltas.due |= cells.replaced
            cells.replaced = set()
            whole = self.deltas.decide(source, self.versions)
            # Under the present version savers may have the channel as one without a value.
            self._renew([name for name in whole if name not in self.unsaved])
            self.deltas.versions = dict(self.versions)
            self.metadata |= self.deltas.as_metadata()
        new = {name: self.versions[name] for name in self.unsaved}
        seers = self.seers
        # With `exit` the one that is stored must bring along all that changed since the one loaded.
        if not self.is_saved_at_end:
            self.unsaved.clear()
            self.seers = set()
        values = cells.saved_values(self.versions)
        if whole:
            values |= cells.snapshots(whole)
        checkpoint = {
            "v": FORMAT,
            "ts": ts,
            "id": self.id,
            "channel_values": values,
            "channel_versions": dict(self.versions),
            "versions_seen": dict(self.seen),
            "updated_channels": self.updated,
        }
        if stop:
            checkpoint[STOP] = [stop, self.id]
        return SaveCheckpoint(
            checkpoint=checkpoint,
            metadata=self.metadata,
            parent_id=self.parent_id,
            new_versions=new,
            seers=seers,
        )

    def _renew(self, names: Sequence[str]) -> None:
        """Give channels a new version, under which savers store a value, without any news.

        Whoever has seen the old version has seen the new one.
        """
        old = {name: self.versions.get(name) for name in names}
        self.bump(names)
        for node, seen in self.seen.items():
            known = (name for name in names if name in seen and seen[name] == old[name])
            new = {name: self.versions[name] for name in known}
            if new:
                self.seen[node] = {**seen, **new}
                if self.seers is not None:
                    self.seers.add(node)
