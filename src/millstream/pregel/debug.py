"""What the debug streams of a run are made of, and small helpers for printing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from millstream.constants import CONF, ENGINE_PREFIX
from millstream.types import CheckpointPayload, TaskPayload, TaskResultPayload

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

__all__ = (
    "CheckpointPayload",
    "TaskPayload",
    "TaskResultPayload",
    "get_bolded_text",
    "get_colored_text",
    "is_multiple_channel_write",
    "map_task_result_writes",
    "rm_pregel_keys",
)

WRITES: Final = "$writes"
"""The key under which a result has several writes to one channel."""

COLORS: Final = {
    "black": "0;30",
    "red": "0;31",
    "green": "0;32",
    "yellow": "0;33",
    "blue": "0;34",
    "magenta": "0;35",
    "cyan": "0;36",
    "white": "0;37",
    "gray": "1;30",
}


def is_multiple_channel_write(value: Any) -> bool:
    """Say whether a value in a task's result stands for several writes to one channel."""
    return isinstance(value, dict) and isinstance(value.get(WRITES), list)


def map_task_result_writes(writes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a task's writes by channel, several to one as `{"$writes": [...]}`."""
    result: dict[str, Any] = {}
    for channel, value in writes:
        if channel not in result:
            result[channel] = value
        elif is_multiple_channel_write(result[channel]):
            result[channel][WRITES].append(value)
        else:
            result[channel] = {WRITES: [result[channel], value]}
    return result


def rm_pregel_keys(config: RunnableConfig | None) -> RunnableConfig | None:
    """Return the `configurable` of a config without what is private to the engine."""
    if config is None:
        return None
    configurable: Mapping[str, Any] = config.get(CONF) or {}
    public = {
        key: value for key, value in configurable.items() if not key.startswith(ENGINE_PREFIX)
    }
    return cast("RunnableConfig", {CONF: public})


def get_colored_text(text: str, color: str) -> str:
    """Return the text with the codes that color it in a terminal."""
    return f"\033[1;3{COLORS[color]}m{text}\033[0m"


def get_bolded_text(text: str) -> str:
    """Return the text with the codes that make it bold in a terminal."""
    return f"\033[1m{text}\033[0m"
