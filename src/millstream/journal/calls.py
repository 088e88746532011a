"""What is stored: calls of `put` and `put_writes`, with their values serialized."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from langgraph.checkpoint.base import get_checkpoint_id, get_checkpoint_metadata

from millstream.core.checkpoints import BRANCH, UNKNOWN
from millstream.journal.drafts import Call, PutCall, WritesCall, indexed
from millstream.journal.heads import Heads
from millstream.journal.rows import Owner
from millstream.journal.sealing import Sealing

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

Dump: TypeAlias = "Callable[[Any], tuple[str, bytes]]"


@dataclass(slots=True)
class Handover:
    """Calls that are stored together."""

    calls: Sequence[Call]
    sealing: Sealing
    at: int
    """Seconds since 1970, by the clock of whoever stores."""
    expects: Any = UNKNOWN
    """A namespace, and the id of the checkpoint that whoever stores takes for its newest."""
    may_fork: bool = False
    owner: Owner | None = None
    """Who has to be the owner still when it is stored."""
    heads: Heads = field(default_factory=dict)
    """What whoever stores has read, where nobody says what is expected."""

    def is_next(self, ns: str, newest: str | None) -> bool:
        """Say whether it goes on from the newest checkpoint, or has been stored before."""
        if self.may_fork or self.expects in (UNKNOWN, BRANCH) or self.expects[0] != ns:
            return True
        if newest == self.expects[1]:
            return True
        return any(isinstance(call, PutCall) and call.id == newest for call in self.calls)


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
