"""Readers of channels that LangGraph's packages make themselves.

`langgraph-prebuilt` gives each tool call a channel of its own, and tells it how to carry the run on
by setting an attribute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from millstream.stream._readers.pump import PlainPump, Pump
from millstream.stream.stream_channel import StreamChannel


def _set_pull(channel: StreamChannel[Any], pull: Callable[[], Any] | None) -> None:
    if pull is None:
        return
    # A run's own way to pull: its pump also knows who waits for what.
    owner = getattr(pull, "__self__", None)
    channel._bind_pump(owner if isinstance(owner, Pump) else PlainPump(pull))


def _get_pull(channel: StreamChannel[Any]) -> Callable[[], Any] | None:
    return None if channel._pump is None else channel._pump.pull


def apply() -> None:
    """Have channels understand both names of the attribute."""
    for name in ("_request_more", "_arequest_more"):
        setattr(StreamChannel, name, property(_get_pull, _set_pull))
