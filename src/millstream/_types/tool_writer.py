"""Where the partial output of the tool that is running goes.

At the bottom of the import order, because the stream mode that shows partial output sets it and
`ToolRuntime.emit_output_delta` reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

tool_call_writer: Final[ContextVar[Callable[[Any], None] | None]] = ContextVar(
    "tool_call_writer", default=None
)
"""Takes one delta of the running tool call; None when nobody asked for deltas.

To be set when a tool starts, in the context its function will run in: an inline callback handler's
`on_tool_start` does that, in sync and async runs.
"""
