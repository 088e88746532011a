"""Waiting for what has no event of its own: another process, a thread of the engine, a file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 60.0
TURN: Final = 0.001


def until(happened: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Wait until something has happened, or patience has ended; say whether it has."""
    turn = threading.Event()
    for _ in range(int(patience / TURN)):
        if happened():
            return True
        turn.wait(TURN)
    return bool(happened())


async def auntil(happened: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Do the same, and leave the event loop to others meanwhile."""
    for _ in range(int(patience / TURN)):
        if happened():
            return True
        await asyncio.sleep(TURN)
    return bool(happened())
