"""When a checkpoint stores the whole value of a delta channel.

A delta channel is rebuilt from the writes that are stored next to the checkpoints on the way. So
its whole value must be stored

1. often enough that rebuilding stays cheap: after so many updates, or so many supersteps;
2. when an `Overwrite` came with other writes, because stored writes do not say which of them
   belong to one superstep;
3. when the writes stored next to the parent are not what led to the new checkpoint. So it is when
   the parent is missing, when a new input or a new branch drops tasks that had finished, when
   something other than a task wrote, and when the parent has other children.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from millstream.core.pending_writes import PendingWrites

COUNTERS: Final = "counters_since_delta_snapshot"
"""The key of a checkpoint's metadata with (updates, supersteps) of each delta channel."""
NO_TASKS: Final = ("input", "fork")
"""Sources of checkpoints that hold what no task wrote."""


@dataclass(slots=True)
class DeltaLog:
    """What the next checkpoint must know of its delta channels."""

    frequencies: Mapping[str, int]
    """Delta channel -> updates after which its whole value is stored."""
    max_supersteps: int
    """Supersteps after which it is stored although the channel was not written."""
    is_sticky: bool = False
    """A checkpoint may yet be replaced by the next one, which must store as much."""
    is_parent_shared: bool = False
    """The checkpoint gone on from has children that are not of this run."""
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    """Channels whose whole value the next checkpoint must store."""
    pending: set[str] = field(default_factory=set)
    """Channels for which writes are stored next to the loaded checkpoint."""
    has_parent: bool = False
    """The next checkpoint follows another one."""
    versions: Mapping[str, Any] = field(default_factory=dict)
    """Version of each channel in the last checkpoint."""

    def load(
        self, metadata: Mapping[str, Any], versions: Mapping[str, Any], written: Iterable[str]
    ) -> None:
        """Go on from a checkpoint, next to which writes to some channels are stored."""
        stored = metadata.get(COUNTERS) or {}
        self.counters = {n: (stored[n][0], stored[n][1]) for n in self.frequencies if n in stored}
        # Written by tasks that had finished when the run stopped: if they are dropped, or this is a
        # branch, what is rebuilt must not have it. See 3.
        self.pending = self.frequencies.keys() & set(written)
        self.has_parent = True
        self.versions = versions

    def forget_parent(self) -> None:
        """Take note that the next checkpoint follows no other one."""
        self.has_parent = False
        self.versions = {}

    def record_orphans(self, pending: PendingWrites, task_ids: Set[str]) -> None:
        """Take note of stored writes that belong to none of the superstep's tasks.

        A run that was killed while it stored its only checkpoint leaves such writes behind.
        """
        self.due.update(
            name
            for task_id, writes in pending.items()
            if task_id not in task_ids
            for name, _ in writes
            if name in self.frequencies
        )

    def decide(self, source: str, versions: Mapping[str, Any]) -> set[str]:
        """Return the channels whose whole value a new checkpoint stores."""
        # A channel was written if it has another version than in the checkpoint before.
        last = self.versions
        written = {name for name in self.frequencies if versions.get(name) != last.get(name)}
        # A superstep commits what is stored next to its parent, so only of another source are these
        # writes not what led here.
        if source != "loop" or self.is_parent_shared:
            self.due |= self.pending
        # What no task wrote is stored next to no checkpoint, and cannot be found again on the way.
        if source in NO_TASKS or self.is_parent_shared or not self.has_parent:
            self.due |= written
        self.pending = set()
        self.has_parent = True
        # The next one follows this one, which no other run knows. With `exit` it may take this
        # one's place, and then has the shared parent too.
        self.is_parent_shared = self.is_parent_shared and self.is_sticky
        for name, frequency in self.frequencies.items():
            updates, supersteps = self.counters.get(name, (0, 0))
            updates, supersteps = updates + (name in written), supersteps + 1
            # The layout of LangGraph's metadata, which reads it in threads that change hands.
            self.counters[name] = (updates, supersteps)
            is_old = updates >= frequency or supersteps >= self.max_supersteps
            # Without a version nothing was ever written, and there is nothing to store.
            if is_old and name in versions:
                self.due.add(name)
        # Also of channels that were never written: what is stored next to the parent is not theirs.
        whole = set(self.due)
        for name in whole:
            del self.counters[name]
        if not self.is_sticky:
            self.due = set()
        return whole

    def as_metadata(self) -> dict[str, Any]:
        """Return what the new checkpoint's metadata say."""
        return {COUNTERS: dict(self.counters)} if self.counters else {}
