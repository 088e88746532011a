"""What the events of a run say of its activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from millstream.cli.live.activity import Activity, Ended, Words, path_of


def take_task(
    activity: Activity, namespace: Sequence[str], payload: Any, now: float
) -> Ended | None:
    """Take an event of `tasks`; return what has ended with it, if anything has."""
    path, task_id = path_of(namespace, payload["name"]), payload["id"]
    if "input" in payload:
        activity.start(path, task_id, now)
        return None
    return activity.end(
        path,
        task_id,
        now,
        has_failed=payload.get("error") is not None,
        is_asking=bool(payload.get("interrupts")),
    )


def words_of(activity: Activity, namespace: Sequence[str], metadata: Any) -> Words:
    """Return where the words of a node are counted."""
    return activity.ran(path_of(namespace, str(metadata.get("langgraph_node", "")))).words


def take_words(words: Words, message: Any) -> None:
    """Take a message, or a piece of one: count what models have said."""
    # Nobody pays for what people and tools say.
    if not message.type.startswith(("ai", "AI")):
        return
    words.chunks += 1
    usage = getattr(message, "usage_metadata", None)
    if usage:
        words.read += usage.get("input_tokens") or 0
        words.said += usage.get("output_tokens") or 0
