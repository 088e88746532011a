"""What the arguments of a saver's methods say, as what is asked of a journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import get_checkpoint_id

from millstream._base import clock
from millstream.journal import upkeep
from millstream.journal.listing import Listing

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


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
