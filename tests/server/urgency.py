"""Functions that say how urgent the runs of a thread are, for servers in tests."""

from __future__ import annotations

import warnings
from typing import Any

from langgraph_sdk import Priority, PriorityContext

asked: list[PriorityContext] = []
"""What the function was asked."""


with warnings.catch_warnings():
    # It says that it may change.
    warnings.simplefilter("ignore")
    priority = Priority()
    silent = Priority()


@priority.assign
async def assign(ctx: PriorityContext) -> Any:
    """Say what the metadata of the thread or the run say."""
    asked.append(ctx)
    if ctx.run_metadata.get("fails"):
        raise RuntimeError("nobody knows")
    return ctx.thread_metadata.get("settings", ctx.run_metadata.get("settings"))
