"""Runs that are left, and processes that should end then."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, closing
from typing import Any


def first_item(driver: Any, graph: Any) -> Any:
    """Return the first custom item of a run, which is left after it."""
    given: dict[str, list[Any]] = {"log": []}

    async def leave() -> Any:
        async with aclosing(graph.astream(given, stream_mode="custom")) as items:
            return await anext(items)

    if driver.name == "async":
        return asyncio.run(leave())
    with closing(graph.stream(given, stream_mode="custom")) as items:
        return next(items)


def has_process(pid: int) -> bool:
    """Say whether there is a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
