"""What is shown of saved state, and what changes it: apart from `types` because streams show it
too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from millstream._types.interrupts import Interrupt

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointMetadata

__all__ = ("PregelTask", "StateSnapshot", "StateUpdate")


class StateUpdate(NamedTuple):
    """One update of a bulk update: what is written, in the name of which node and task."""

    values: dict[str, Any] | None
    as_node: str | None = None
    task_id: str | None = None


class PregelTask(NamedTuple):
    """One task of a superstep, as a snapshot shows it."""

    id: str
    name: str
    path: tuple[str | int | tuple[Any, ...], ...]
    error: Exception | None = None
    interrupts: tuple[Interrupt[Any], ...] = ()
    state: RunnableConfig | StateSnapshot | None = None
    """The state of the subgraph the task runs, or the config that finds it."""
    result: Any | None = None


class StateSnapshot(NamedTuple):
    """The state of a thread at one checkpoint."""

    values: dict[str, Any] | Any
    next: tuple[str, ...]
    """The nodes that run next."""
    config: RunnableConfig
    """What finds this checkpoint again."""
    metadata: CheckpointMetadata | None
    created_at: str | None
    """ISO 8601 time."""
    parent_config: RunnableConfig | None
    tasks: tuple[PregelTask, ...]
    interrupts: tuple[Interrupt[Any], ...]


for _public in (
    PregelTask,
    StateSnapshot,
    StateUpdate,
):
    _public.__module__ = "millstream.types"
