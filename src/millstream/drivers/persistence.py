"""What a run stores, and in which order.

A `Journal` only collects operations; the drivers carry them out - at once, behind the run's back or
at its end, as its durability says. Operations of one run are carried out in the order in which
they were added, so a checkpoint is never stored after one that follows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    NO_WRITES,
    NULL_TASK_ID,
    RESUME,
)
from millstream.core.tasks import task_path_text
from millstream.errors import is_invalid_resume

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.core.protocol import Write
    from millstream.core.snapshot import SaveCheckpoint
    from millstream.core.tasks import Task
    from millstream.drivers.delta import DeltaHistory


@dataclass(slots=True)
class PutCheckpoint:
    """Store a checkpoint under the config of its parent."""

    config: dict[str, Any]
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    new_versions: dict[str, Any]

    def store(self, saver: BaseCheckpointSaver[Any]) -> Mapping[str, Any]:
        """Carry it out in this thread and return the config of the checkpoint."""
        return saver.put(self.config, self.checkpoint, self.metadata, self.new_versions)  # type: ignore[arg-type]  # dicts of the right shape

    async def astore(self, saver: BaseCheckpointSaver[Any]) -> Mapping[str, Any]:
        """Carry it out and return the config of the checkpoint."""
        return await saver.aput(self.config, self.checkpoint, self.metadata, self.new_versions)  # type: ignore[arg-type]  # same


@dataclass(slots=True)
class PutWrites:
    """Store what one task wrote, next to the checkpoint its superstep started from."""

    config: dict[str, Any]
    writes: Sequence[Write]
    task_id: str
    path: str

    def store(self, saver: BaseCheckpointSaver[Any]) -> None:
        """Carry it out in this thread."""
        saver.put_writes(self.config, self.writes, self.task_id, self.path)  # type: ignore[arg-type]  # a dict of the right shape

    async def astore(self, saver: BaseCheckpointSaver[Any]) -> None:
        """Carry it out."""
        await saver.aput_writes(self.config, self.writes, self.task_id, self.path)  # type: ignore[arg-type]  # same


Operation: TypeAlias = PutCheckpoint | PutWrites


def store_now(saver: BaseCheckpointSaver[Any], operation: Operation) -> None:
    """Carry out an operation in this thread."""
    operation.store(saver)


MAX_IN_FLIGHT: Final = 8
"""Operations that may wait for a slow saver before the run waits too."""


class Journal:
    """The operations of one run that have not been carried out yet."""

    __slots__ = ("_config", "_deltas", "_last", "_writes", "durability", "pending", "saver")

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        config: dict[str, Any],
        durability: str,
        deltas: DeltaHistory | None = None,
    ) -> None:
        self.saver = saver
        self.durability = durability
        self.pending: deque[Operation] = deque()
        self._config = config
        self._last: PutCheckpoint | None = None
        self._writes: list[PutWrites] = []
        self._deltas = deltas
        """The writes that a value is rebuilt from, with durability `exit`."""

    def add_checkpoint(self, save: SaveCheckpoint) -> None:
        """Add a checkpoint; with durability `exit` only the last one counts."""
        put = PutCheckpoint(
            self._config_at(save.parent_id), save.checkpoint, save.metadata, save.new_versions
        )
        if self.durability != "exit":
            self.pending.append(put)
            return
        if self._last is not None:
            put.config = self._last.config
            put.new_versions = {**self._last.new_versions, **put.new_versions}
        if self._deltas is not None and save.metadata["source"] == "loop":
            self._deltas.add_superstep(save.metadata["step"], self._writes)
        self._last = put
        self._writes.clear()

    def add_task(self, task: Task, config: dict[str, Any] | None) -> None:
        """Add what a task left behind: its writes, its questions or its error."""
        if config is None:
            return
        writes = stored_writes(task)
        if writes:
            self._add_writes(PutWrites(config, writes, task.id, task_path_text(task.path)))

    def add_commands(self, writes: Sequence[Write], config: dict[str, Any] | None) -> None:
        """Add what commands wrote to a checkpoint, which counts when a run goes on from it."""
        if config is not None and writes:
            self._add_writes(PutWrites(config, writes, NULL_TASK_ID, ""))

    def give_up(self) -> None:
        """Store nothing more: the saver has failed, and what follows would leave a gap."""
        self.pending.clear()
        self._writes.clear()
        self._last = None

    def close(self) -> None:
        """Add what was held back until the end of the run."""
        if self._last is not None:
            if self._deltas is not None:
                self.pending += self._deltas.operations(self._last)
            self.pending.append(self._last)
            self._last = None
        self.pending += self._writes
        self._writes = []

    def _add_writes(self, put: PutWrites) -> None:
        if self.durability == "exit":
            self._writes.append(put)
        else:
            self.pending.append(put)

    def _config_at(self, checkpoint_id: str | None) -> dict[str, Any]:
        configurable = {**self._config["configurable"], "checkpoint_id": checkpoint_id}
        return {**self._config, "configurable": configurable}


def stored_writes(task: Task) -> list[Write]:
    """Return what is stored of a task that has ended.

    Its answers are kept with whatever became of it, except one that did not fit: the question
    stays as it was.
    """
    if task.error is not None and is_invalid_resume(task.error):
        return []
    if task.interrupts:
        writes: list[Write] = [(INTERRUPT, task.interrupts)]
    elif task.error is not None:
        writes = [(ERROR, task.error)]
        if task.node.handler is not None and task.run.failure is not task:
            writes.append((ERROR_SOURCE_NODE, task.name))
    elif task.is_done:
        writes = task.writes or [(NO_WRITES, None)]
    else:
        return []
    if task.answers and task.asked:
        return [(RESUME, task.answers[: task.asked]), *writes]
    return writes
