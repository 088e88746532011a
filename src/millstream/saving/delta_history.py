"""Delta channels in storage: rebuilding their values, and keeping their writes.

Without delta channels nothing here is ever called, or it returns at once; but for `modern`, which
brings checkpoints of older formats up to date.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from millstream.channels.delta import DeltaChannel
from millstream.constants import MISSING
from millstream.core.checkpoints import REBUILT
from millstream.core.deltas import COUNTERS, DeltaLog
from millstream.core.old_formats import is_current, modernized, modernized_writes

if TYPE_CHECKING:
    from langgraph.checkpoint.base import (
        Checkpoint,
        CheckpointTuple,
        DeltaChannelHistory,
    )

    from millstream.core.machine import RunMachine
    from millstream.core.protocol import Write
    from millstream.core.spec import GraphSpec
    from millstream.saving.carrier import Operation
    from millstream.saving.operations import PutCheckpoint, PutWrites

MAX_SUPERSTEPS: Final = int(os.environ.get("LANGGRAPH_DELTA_MAX_SUPERSTEPS_SINCE_SNAPSHOT", "5000"))
"""Supersteps after which the whole value of a delta channel is stored, written or not."""
ROOT_STEP: Final = -2
"""The step of the empty checkpoint that the writes of a first run are stored with."""


def modern(saved: CheckpointTuple, spec: GraphSpec) -> CheckpointTuple:
    """Return a loaded checkpoint in today's format."""
    return _unpacked(_modern(saved, spec), spec)


def _modern(saved: CheckpointTuple, spec: GraphSpec) -> CheckpointTuple:
    # Nearly all are, and a look at the number tells.
    if is_current(saved.checkpoint):
        return saved
    return saved._replace(
        checkpoint=cast("Checkpoint", modernized(saved.checkpoint, spec)),
        pending_writes=modernized_writes(saved.pending_writes or (), spec),
    )


def _unpacked(saved: CheckpointTuple, spec: GraphSpec) -> CheckpointTuple:
    """Return a checkpoint in which what once was a delta channel has its bare value."""
    values = saved.checkpoint["channel_values"]
    if not any(type(v) is _DeltaSnapshot and n not in spec.deltas for n, v in values.items()):
        return saved
    # A snapshot is a class that only delta channels know what to do with.
    bare = {name: value if name in spec.deltas else _bare(value) for name, value in values.items()}
    checkpoint: Any = {**saved.checkpoint, "channel_values": bare}
    return saved._replace(checkpoint=checkpoint)


def names_to_rebuild(saved: CheckpointTuple, spec: GraphSpec) -> list[str]:
    """Return the channels that a checkpoint knows without holding their value.

    Delta channels, or what was one when the checkpoint was made and is another channel today.
    """
    checkpoint = saved.checkpoint
    once: Collection[str] = (saved.metadata or {}).get(COUNTERS) or ()
    if not (once or spec.deltas):
        return []
    return [
        name
        for name in dict.fromkeys((*spec.deltas, *once))
        if name in checkpoint["channel_versions"]
        # Known but without a value: it is in the writes.
        and name not in checkpoint["channel_values"]
        and name in spec.channels
    ]


def with_values(
    saved: CheckpointTuple, spec: GraphSpec, history: Mapping[str, DeltaChannelHistory]
) -> CheckpointTuple:
    """Return a checkpoint with the values that its channels' history makes."""
    values = dict(saved.checkpoint["channel_values"])
    others = [name for name in history if name not in spec.deltas]
    for name, entry in history.items():
        channel = spec.channels[name]
        rebuilt = channel.from_checkpoint(_bare(entry.get("seed", MISSING)))
        if isinstance(rebuilt, DeltaChannel):
            rebuilt.replay_writes(entry["writes"])
            values[name] = _DeltaSnapshot(rebuilt.get())
            continue
        for _, _, write in entry["writes"]:
            # One at a time: they are of many supersteps, and this channel may refuse two in one.
            rebuilt.update((write,))
        if (value := rebuilt.checkpoint()) is not MISSING:
            values[name] = value
    checkpoint: Any = {**saved.checkpoint, "channel_values": values, REBUILT: others}
    return saved._replace(checkpoint=checkpoint)


def _bare(value: Any) -> Any:
    return value.value if isinstance(value, _DeltaSnapshot) else value


def new_log(
    spec: GraphSpec, *, is_saved_at_end: bool = False, is_parent_shared: bool = False
) -> DeltaLog | None:
    """Return what keeps count for a run, None for a graph without delta channels."""
    if not spec.deltas:
        return None
    return DeltaLog(spec.deltas, MAX_SUPERSTEPS, is_saved_at_end, is_parent_shared)


def new_history(
    spec: GraphSpec, *, has_parent: bool, stamp: Callable[[int], tuple[str, str]]
) -> DeltaHistory | None:
    """Return what collects the writes of a run that stores its last checkpoint only."""
    if not spec.deltas:
        return None
    return DeltaHistory(spec.deltas, None if has_parent else stamp(ROOT_STEP))


def commands_to_keep(machine: RunMachine, *, is_shared: bool) -> Sequence[Write]:
    """Return what is stored next to the loaded checkpoint of what commands wrote.

    Its delta channels are left out when it is shared: they would change on the other branches.
    """
    # What is stored next to a checkpoint changes the values that are rebuilt on the way through it.
    deltas = machine.spec.deltas
    if not is_shared or not deltas:
        return machine.commands
    return [write for write in machine.commands if write[0] not in deltas]


class DeltaHistory:
    """The writes to delta channels in a run that stores its last checkpoint only.

    They are stored next to that checkpoint's parent, in an order that savers keep: those of the
    first superstep like a task's, behind them those of the others by superstep. Their task ids
    are nobody's, so that they are not taken for a finished task when the parent is gone on from.
    """

    __slots__ = ("_is_first", "_names", "_puts", "_root")

    def __init__(self, names: Collection[str], root: tuple[str, str] | None) -> None:
        self._names = names
        self._puts: list[PutWrites] = []
        self._root = root
        """Id and time of an empty checkpoint to be the parent when there is no other."""
        self._is_first = True

    def add_superstep(self, step: int, puts: Sequence[PutWrites]) -> None:
        """Add what was to be stored of a superstep that is now committed."""
        number = f"{step + 1:08x}"  # above zero, which is the id of commands
        for put in puts:
            writes = [write for write in put.writes if write[0] in self._names]
            if not writes:
                continue
            if self._is_first:
                id, path = f"{number}-{put.task_id[9:]}", put.path
            else:
                id = f"ffffffff-{number[:4]}-{number[4:]}-{put.task_id[19:]}"
                # Savers sort by path, then by id: behind all paths of tasks, which begin with one
                # tilde.
                path = f"~~{step:010d}{put.path}"
            self._puts.append(dataclasses.replace(put, writes=writes, task_id=id, path=path))
        self._is_first = False

    def operations(self, last: PutCheckpoint) -> list[Operation]:
        """Return what must be stored before the run's last checkpoint, which may get a parent."""
        stored = last.checkpoint["channel_values"]
        operations: list[Operation] = []
        for put in self._puts:
            # What the last checkpoint holds whole needs no writes.
            writes = [write for write in put.writes if write[0] not in stored]
            if writes:
                operations.append(dataclasses.replace(put, writes=writes, config=last.config))
        if operations and self._root is not None:
            id, ts = self._root
            # Writes are stored next to a checkpoint, and the first of a thread has none before it.
            root = dataclasses.replace(
                last,
                checkpoint=_empty_checkpoint(id, ts),
                metadata={"step": ROOT_STEP},
                new_versions={},
            )
            last.config = _at(last.config, id)
            operations = [dataclasses.replace(put, config=last.config) for put in operations]
            operations.insert(0, root)
        return operations


def _at(config: dict[str, Any], checkpoint_id: str) -> dict[str, Any]:
    return {**config, "configurable": {**config["configurable"], "checkpoint_id": checkpoint_id}}


def _empty_checkpoint(id: str, ts: str) -> dict[str, Any]:
    return {
        "v": 4,
        "ts": ts,
        "id": id,
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
    }
