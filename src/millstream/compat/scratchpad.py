"""`langgraph._internal._scratchpad`: what is counted while a task runs."""

from __future__ import annotations

from millstream.drivers.reserved_keys import PregelScratchpad

__all__ = ("PregelScratchpad",)
