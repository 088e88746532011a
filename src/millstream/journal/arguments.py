"""What the arguments of a saver's methods say, as what is asked of a journal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from langgraph.checkpoint.base import get_checkpoint_id, get_checkpoint_metadata

from millstream._base import clock
from millstream.journal import upkeep
from millstream.journal.drafts import PutCall, WritesCall, indexed
from millstream.journal.listing import Listing

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

Dump: TypeAlias = "Callable[[Any], tuple[str, bytes]]"


def now() -> int:
    """Return the second by the clock of whoever asks: who carries it out may have another."""
    return int(clock.current().timestamp())


def since(age: timedelta) -> int:
    """Return the second that was so long ago."""
    return int(clock.current().timestamp() - age.total_seconds())


def keep_of(strategy: str, older_than: timedelta | datetime | None) -> upkeep.Keep:
    """Return what says which checkpoints are kept."""
    since: str | None = None
    if older_than is not None:
        if isinstance(older_than, timedelta):
            now = datetime.fromtimestamp(clock.current().timestamp(), timezone.utc)
            older_than = now - older_than
        since = older_than.astimezone(timezone.utc).isoformat()
    if strategy == "keep_latest":
        return upkeep.keep_latest if since is None else upkeep.keep_since(since)
    if strategy == "delete" and since is None:
        return upkeep.keep_nothing
    raise ValueError(
        f"prune takes strategy='keep_latest', with older_than or without, or 'delete' alone, "
        f"not {strategy!r}"
    )


def config_of(config: RunnableConfig, id: str) -> RunnableConfig:
    """Return the config that names a checkpoint which was stored with some other config."""
    configurable = config["configurable"]
    return {
        "configurable": {
            "thread_id": configurable["thread_id"],
            "checkpoint_ns": configurable.get("checkpoint_ns", ""),
            "checkpoint_id": id,
        }
    }


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


def listing_of(
    config: RunnableConfig | None,
    filter: Mapping[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
) -> Listing:
    """Return what `list` is asked for."""
    last = None if before is None else get_checkpoint_id(before) or None
    if config is None:
        return Listing(None, None, None, last, filter or {}, limit)
    configurable = config["configurable"]
    ns = configurable.get("checkpoint_ns")
    thread_id = str(configurable["thread_id"])
    return Listing(thread_id, ns, get_checkpoint_id(config) or None, last, filter or {}, limit)
