"""`langgraph.pregel._tools`: how tools emit while they run."""

from __future__ import annotations

from millstream.stream.tools import ToolTap as StreamToolCallHandler
from millstream.tool_output import tool_call_writer as _tool_call_writer

__all__ = ("StreamToolCallHandler", "_tool_call_writer")
