"""What a run's config and metadata say of where it stands, and what the user said of a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

PLACE_KEYS = ("checkpoint_id", "checkpoint_ns", "checkpoint_map")
"""Keys of `configurable` that say where a run stands; a nested run has its own."""
TEXT_KEYS = ("thread_id", "checkpoint_id", "checkpoint_ns")
"""Keys of `configurable` whose values are text to savers; programs give numbers and UUIDs too."""
HIDDEN_METADATA = frozenset(
    (
        "thread_id",
        *PLACE_KEYS,
        "langgraph_step",
        "langgraph_node",
        "langgraph_triggers",
        "langgraph_path",
        "langgraph_checkpoint_ns",
    )
)
"""Metadata that says where a task stands, not what the user said of it."""


def as_text(value: Any) -> str:
    """Return an id as the text that savers know it by; an enum of texts is its text."""
    # By the text's own method, because a member of an enum of texts says its name.
    return str.__str__(value) if isinstance(value, str) else str(value)


def with_texts(configurable: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's `configurable` as savers are given it: what names a place is text.

    Some savers tell `1` from `"1"`, others do not, and some take nothing but text.
    """
    named = dict(configurable)
    for key in TEXT_KEYS:
        value = named.get(key)
        # Not a subclass: savers compare, hash and serialize what they are given.
        if value is not None and type(value) is not str:
            named[key] = as_text(value)
    return named


def user_metadata(metadata: Mapping[str, Any], tags: Iterable[str]) -> dict[str, Any]:
    """Return what the user said in metadata, with the tags."""
    shown = {key: value for key, value in metadata.items() if key not in HIDDEN_METADATA}
    named = [tag for tag in tags if not tag.startswith("seq:step:")]
    if named:
        shown["tags"] = named
    return shown
