"""How much a thread takes: its checkpoints, the values of its channels, what tasks wrote.

Sizes are those of the values as they are serialized, each version of a channel once; the journal
keeps what versions have in common only once, and takes less.
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver


def report(saver: BaseCheckpointSaver[Any], thread_id: str) -> dict[str, Any]:
    """Return the sizes of a thread."""

    def size(value: Any) -> int:
        return len(saver.serde.dumps_typed(value)[1])

    checkpoints = {"count": 0, "bytes": 0}
    writes = {"count": 0, "bytes": 0}
    channels: dict[str, dict[str, int]] = {}
    seen: set[tuple[str, str, Any]] = set()
    for found in saver.list({"configurable": {"thread_id": thread_id}}):
        namespace = found.config["configurable"].get("checkpoint_ns", "")
        values = found.checkpoint["channel_values"]
        checkpoints["count"] += 1
        checkpoints["bytes"] += size({**found.checkpoint, "channel_values": {}})
        checkpoints["bytes"] += size(found.metadata)
        for _, _, value in found.pending_writes or ():
            writes["count"] += 1
            writes["bytes"] += size(value)
        for channel, version in found.checkpoint["channel_versions"].items():
            if (namespace, channel, version) in seen:
                continue
            seen.add((namespace, channel, version))
            of_channel = channels.setdefault(channel, {"versions": 0, "bytes": 0})
            of_channel["versions"] += 1
            of_channel["bytes"] += size(values[channel]) if channel in values else 0
    in_channels = sum(channel["bytes"] for channel in channels.values())
    return {
        "thread_id": thread_id,
        "total_bytes": checkpoints["bytes"] + in_channels + writes["bytes"],
        "checkpoints": checkpoints,
        "channel_values": {
            "count": sum(channel["versions"] for channel in channels.values()),
            "bytes": in_channels,
            "by_channel": channels,
        },
        "pending_writes": writes,
    }
