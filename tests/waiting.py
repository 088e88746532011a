"""Waiting for what has no event of its own: another process, a thread of the engine, a file."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Final

PATIENCE: Final = 60.0
TURN: Final = 0.001
LONGEST_TURN: Final = 0.016
GROWTH: Final = 1.2


def until(happened: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Wait until something has happened, or patience has ended; say whether it has."""
    turn = threading.Event()
    for seconds in _turns(patience):
        if happened():
            return True
        turn.wait(seconds)
    return bool(happened())


async def auntil(happened: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Do the same, and leave the event loop to others meanwhile."""
    for seconds in _turns(patience):
        if happened():
            return True
        await asyncio.sleep(seconds)
    return bool(happened())


def _turns(patience: float) -> Iterator[float]:
    """Give how long to wait before each next look.

    Longer from turn to turn: who asks a server whether it is done keeps it from its work.
    """
    turn = TURN
    while patience > 0:
        yield turn
        patience -= turn
        turn = min(turn * GROWTH, LONGEST_TURN)
