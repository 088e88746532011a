"""What is stored: calls of `put` and `put_writes`, with their values serialized."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeAlias

from langgraph.checkpoint.base import get_checkpoint_id, get_checkpoint_metadata

from millstream.journal.drafts import PutCall, WritesCall, indexed

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

Dump: TypeAlias = "Callable[[Any], tuple[str, bytes]]"


def target_of(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Return thread, namespace and id of the checkpoint that a config names."""
    configurable = config["configurable"]
    return (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns", ""),
        get_checkpoint_id(config) or None,
    )


def once(dump: Dump) -> Dump:
    """Return what serializes each object once, for arguments that are there all the time.

    What a task has written is often the very object that its channel has then.
    """
    made: dict[int, tuple[str, bytes]] = {}

    def dump_once(value: Any) -> tuple[str, bytes]:
        typed = made.get(id(value))
        if typed is None:
            typed = made[id(value)] = dump(value)
        return typed

    return dump_once


def put_call(
    dump: Dump,
    config: Any,
    checkpoint: Any,
    metadata: Any,
    new_versions: Any,
    seers: Collection[str] | None = None,
) -> PutCall:
    """Return a checkpoint to be stored, with its new values serialized."""
    thread_id, ns, parent = target_of(config)
    values = checkpoint.get("channel_values", {})
    typed = {name: dump(values[name]) for name in new_versions if name in values}
    whole = get_checkpoint_metadata(config, metadata)
    return PutCall(thread_id, ns, parent, checkpoint, whole, new_versions, typed, seers)


def writes_call(
    dump: Dump,
    config: Any,
    writes: Any,
    task_id: str,
    task_path: str = "",
) -> WritesCall:
    """Return what a task wrote, serialized."""
    thread_id, ns, id = target_of(config)
    if id is None:
        raise ValueError(
            f"put_writes of task {task_id!r} on thread {thread_id!r}: the config names no "
            "checkpoint to store them with; give it a checkpoint_id"
        )
    return WritesCall(thread_id, ns, id, task_id, task_path, indexed(writes, dump))
