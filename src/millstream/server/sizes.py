"""How much a thread takes: its checkpoints, the values of its channels, what tasks wrote.

A journal says what it stores, each thing once, and reads no values for it. Of other savers' threads
these are the sizes of the values as they are serialized, each version of a channel once.
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from millstream.journal import Journal
from millstream.journal.usage import ChannelUsage, Usage, usage


def report(saver: BaseCheckpointSaver[Any], thread_id: str) -> dict[str, Any]:
    """Return the sizes of a thread."""
    found = usage(saver, thread_id) if isinstance(saver, Journal) else _measured(saver, thread_id)
    in_channels = sum(channel.bytes for channel in found.channels.values())
    return {
        "thread_id": thread_id,
        "total_bytes": found.checkpoint_bytes + in_channels + found.write_bytes,
        "checkpoints": {"count": found.checkpoints, "bytes": found.checkpoint_bytes},
        "channel_values": {
            "count": sum(channel.versions for channel in found.channels.values()),
            "bytes": in_channels,
            "by_channel": {
                name: {"versions": channel.versions, "bytes": channel.bytes}
                for name, channel in found.channels.items()
            },
        },
        "pending_writes": {"count": found.writes, "bytes": found.write_bytes},
    }


def _measured(saver: BaseCheckpointSaver[Any], thread_id: str) -> Usage:
    def size(value: Any) -> int:
        return len(saver.serde.dumps_typed(value)[1])

    sizes = Usage()
    seen: set[tuple[str, str, Any]] = set()
    for found in saver.list({"configurable": {"thread_id": thread_id}}):
        namespace = found.config["configurable"].get("checkpoint_ns", "")
        values = found.checkpoint["channel_values"]
        sizes.checkpoints += 1
        sizes.checkpoint_bytes += size({**found.checkpoint, "channel_values": {}})
        sizes.checkpoint_bytes += size(found.metadata)
        for _, _, value in found.pending_writes or ():
            sizes.writes += 1
            sizes.write_bytes += size(value)
        for channel, version in found.checkpoint["channel_versions"].items():
            if (namespace, channel, version) in seen:
                continue
            seen.add((namespace, channel, version))
            of_channel = sizes.channels.setdefault(channel, ChannelUsage())
            of_channel.versions += 1
            of_channel.bytes += size(values[channel]) if channel in values else 0
    return sizes
