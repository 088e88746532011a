"""How long somebody waits who tries again and again."""

from __future__ import annotations

import threading
import time
from typing import Final

_FIRST: Final = 0.05
_LONGEST: Final = 1.0


class Patience:
    """Ends some seconds after the first time that something went wrong."""

    def __init__(self, seconds: float, is_ending: threading.Event | None = None) -> None:
        """Begin; nobody waits any more once `is_ending` is set."""
        self._seconds = seconds
        self._is_ending = is_ending or threading.Event()
        self._until: float | None = None
        self._pause = _FIRST

    def wait(self) -> bool:
        """Wait for a moment, which gets longer; return whether it is worth another try."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        if now >= self._until or self._is_ending.wait(self._pause):
            return False
        self._pause = min(2 * self._pause, _LONGEST)
        return True
