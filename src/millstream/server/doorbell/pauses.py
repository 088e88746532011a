"""The time between two tries to connect."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

FIRST: Final = 0.1
LONGEST: Final = 1.0
"""Seconds before it is tried again to connect; each time twice as many."""


class Pauses:
    """How long it is waited before something is tried again."""

    def __init__(self) -> None:
        self._next = FIRST

    @property
    def level(self) -> int:
        """How loudly it is told that it is tried again: once, and then for who looks for it."""
        return logging.WARNING if self._next == FIRST else logging.DEBUG

    def begin_anew(self) -> None:
        """Wait little the next time: it has gone well."""
        self._next = FIRST

    async def wait(self) -> None:
        """Wait, twice as long each time; not all replicas at once."""
        pause, self._next = self._next, min(2 * self._next, LONGEST)
        await asyncio.sleep(pause * (0.5 + random.random() / 2))
