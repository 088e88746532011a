"""What is stored of a run: checkpoints, and what tasks wrote next to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millstream.outbox.write_ahead import Place, outcome_of
from millstream.saving.capabilities import path_argument
from millstream.saving.unstorable import refuse_unstorable

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.core.protocol import Write
    from millstream.outbox.write_ahead import Promise


@dataclass(slots=True)
class PutCheckpoint:
    """Store a checkpoint under the config of its parent."""

    config: dict[str, Any]
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    new_versions: dict[str, Any]
    writers: Mapping[str, str] = field(default_factory=dict)
    """By channel, the node that wrote it last, if that is known."""
    seers: Collection[str] | None = None
    """Nodes that have seen something since the parent, see `SaveCheckpoint`."""
    promise: Promise | None = None
    """What is kept when it is stored."""

    @property
    def place(self) -> Place:
        """What is stored."""
        return Place(self.config["configurable"].get("checkpoint_ns", ""), self.checkpoint["id"])

    def store(self, saver: BaseCheckpointSaver[Any]) -> Mapping[str, Any]:
        """Carry it out in this thread and return the config of the checkpoint."""
        try:
            return saver.put(self.config, self.checkpoint, self.metadata, self.new_versions)  # type: ignore[arg-type]  # dicts of the right shape
        except Exception as error:
            self.explain(error, saver)
            raise

    async def astore(self, saver: BaseCheckpointSaver[Any]) -> Mapping[str, Any]:
        """Carry it out and return the config of the checkpoint."""
        try:
            return await saver.aput(self.config, self.checkpoint, self.metadata, self.new_versions)  # type: ignore[arg-type]  # same
        except Exception as error:
            self.explain(error, saver)
            raise

    def as_call(self) -> tuple[str, tuple[Any, ...]]:
        """Return the saver's method that carries it out, and its arguments."""
        put = self.config, self.checkpoint, self.metadata, self.new_versions, self.seers
        return "put", put

    def explain(self, error: Exception, saver: BaseCheckpointSaver[Any]) -> None:
        """Raise an error that names the value, if the serializer has refused one."""
        values: dict[str, Any] = self.checkpoint["channel_values"]
        refuse_unstorable(error, saver, values.items(), self.writers)


@dataclass(slots=True)
class PutWrites:
    """Store what one task wrote, next to the checkpoint its superstep started from."""

    config: dict[str, Any]
    writes: Sequence[Write]
    task_id: str
    path: str
    node: str = ""
    """Who wrote it, if it was a node."""
    promise: Promise | None = None
    """What is kept when it is stored."""

    @property
    def place(self) -> Place:
        """What is stored."""
        named = self.config["configurable"]
        ns, outcome = named.get("checkpoint_ns", ""), outcome_of(self.writes)
        return Place(ns, named["checkpoint_id"], self.task_id, outcome)

    def store(self, saver: BaseCheckpointSaver[Any]) -> None:
        """Carry it out in this thread."""
        try:
            self._call(saver.put_writes)
        except Exception as error:
            self.explain(error, saver)
            raise

    async def astore(self, saver: BaseCheckpointSaver[Any]) -> None:
        """Carry it out."""
        try:
            await self._call(saver.aput_writes)
        except Exception as error:
            self.explain(error, saver)
            raise

    def as_call(self) -> tuple[str, tuple[Any, ...]]:
        """Return the saver's method that carries it out, and its arguments."""
        return "put_writes", (self.config, self.writes, self.task_id, self.path)

    def explain(self, error: Exception, saver: BaseCheckpointSaver[Any]) -> None:
        """Raise an error that names the value, if the serializer has refused one."""
        refuse_unstorable(error, saver, self.writes, self.node)

    def _call(self, put: Callable[..., Any]) -> Any:
        """Call what stores writes, with the arguments it takes; return what it returns."""
        path = path_argument(put)
        if path == "position":
            return put(self.config, self.writes, self.task_id, self.path)
        if path == "name":
            return put(self.config, self.writes, self.task_id, task_path=self.path)
        return put(self.config, self.writes, self.task_id)
