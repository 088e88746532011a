"""Time that passes as tests want it to, for the drivers and for event loops."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from millstream._base.clock import Clock


class FakeClock(Clock):
    """Time that passes when somebody sleeps, and numbers that are drawn as a test has set them."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0
        self.slept: list[float] = []
        self.drawn = 0.5

    def read(self) -> float:
        """Return the time."""
        return self.seconds

    monotonic = timestamp = read

    def draw(self) -> float:
        """Return the number that is drawn next."""
        return self.drawn

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.slept.append(seconds)
        self.seconds += seconds

    async def asleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.sleep(seconds)
        await asyncio.sleep(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when there is nothing to do, it is time for the next timer.

    Timers do not wait for threads, so work of a thread is no match for a timeout here.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(FakeTimeSelector(clock))
        self._fake = clock

    def time(self) -> float:
        """Return the time."""
        return self._fake.read()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for its threads as long as it takes: no timer would."""
        await super().shutdown_default_executor()


class FakeTimeSelector(selectors.DefaultSelector):
    """Waits for files only where no timer is set."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; if nothing is, let the time pass."""
        ready = super().select(timeout if timeout is None else 0)
        if timeout and not ready:
            self._clock.seconds += timeout
        return ready
