"""`langgraph.pregel._tools`: how tools emit while they run."""

from __future__ import annotations

from millstream._types.tool_writer import tool_call_writer as _tool_call_writer
from millstream.modes.tool_tap import ToolTap as StreamToolCallHandler

__all__ = ("StreamToolCallHandler", "_tool_call_writer")
