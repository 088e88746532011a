"""`langgraph._internal._scratchpad`: what is counted while a task runs."""

from __future__ import annotations

from millstream.drivers.configurable import PregelScratchpad

__all__ = ("PregelScratchpad",)
