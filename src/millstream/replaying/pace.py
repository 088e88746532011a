"""How fast a recording is shown."""

from __future__ import annotations

from typing import Final

from millstream._base.clock import current

TURN: Final = 256
"""Events after which an event loop gets a turn, where nothing is waited for."""


class Pace:
    """Says how long to wait for an event; None as speed does not wait at all."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._clock = current()
        self._started: float | None = None
        self._events = 0

    def wait(self, at: int) -> None:
        """Wait in this thread until it is time for what was told so many microseconds in."""
        if self._speed is not None and (seconds := self._seconds(at)) > 0:
            self._clock.sleep(seconds)

    async def await_(self, at: int) -> None:
        """Wait in this task."""
        if self._speed is not None and (seconds := self._seconds(at)) > 0:
            await self._clock.asleep(seconds)
            return
        self._events += 1
        if self._events % TURN == 0:
            await self._clock.asleep(0)

    def _seconds(self, at: int) -> float:
        assert self._speed is not None
        now = self._clock.monotonic()
        if self._started is None:
            # The beginning of the run is that of who reads it.
            self._started = now
        return self._started + at / 1e6 / self._speed - now


def checked_speed(speed: float | None) -> float | None:
    """Return a speed, or refuse it with a `ValueError`."""
    if speed is None:
        return None
    if isinstance(speed, bool) or not isinstance(speed, (int, float)) or not speed > 0:
        raise ValueError(
            f"speed must be a number above 0, 1 for that of the run, or None, got {speed!r}"
        )
    return None if speed == float("inf") else float(speed)
