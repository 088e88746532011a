"""Waiting that a cancellation does not cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def wait_through_cancellation(
    tasks: Collection[asyncio.Task[Any]],
) -> asyncio.CancelledError | None:
    """Wait for the tasks; return a cancellation that came meanwhile instead of raising it."""
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError as error:
        return error
    return None
