"""Time that passes as tests want it to, for runs and for event loops."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from millstream._base.clock import Clock, given

__all__ = ("FakeClock", "FakeTimeLoop", "fake_clock")


class FakeClock(Clock):
    """Time that passes when somebody sleeps, and numbers that are drawn as a test has set them.

    Attributes:
        seconds: The time. A test may set it.
        slept: How long each sleep was, in the order in which they began.
        drawn: The number in [0, 1) that is drawn next, for the jitter of retries.
    """

    def __init__(self) -> None:
        self.seconds = 1_000_000.0
        self.slept: list[float] = []
        self.drawn = 0.5
        self._lock = threading.Lock()
        """Held while time passes: nodes sleep in threads."""

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
        self._pass(seconds)

    def sleep_unless(self, is_over: Callable[[], bool], seconds: float, *, look: float) -> None:
        """Let the time pass at once: nothing happens meanwhile that would end the sleep."""
        self.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Let the time pass: at once, or in a loop of this clock beside what else waits there."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, FakeTimeLoop) and loop.clock is self:
            self.slept.append(seconds)
            await asyncio.sleep(seconds)
        else:
            self.sleep(seconds)
            await asyncio.sleep(0)

    def _pass(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when there is nothing to do, it is time for the next timer.

    Timers do not wait for threads, so work of a thread is no match for a timeout here.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(FakeTimeSelector(clock))
        self.clock = clock

    def time(self) -> float:
        """Return the time."""
        return self.clock.read()

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
            self._clock._pass(timeout)
        return ready


@contextmanager
def fake_clock() -> Iterator[FakeClock]:
    """Give a clock to the runs that begin inside, and to the event loops that are made there.

    Retries, pauses of scripted models and `asyncio.sleep` then take no time, timeouts end what they
    would end, and the clock says how long all of it would have taken. `time.sleep` and `time.time`
    stay what they are, and so do the dates of checkpoints. The fixture `millstream_clock` is the
    same for a whole test.

    Example:
        >>> import asyncio
        >>> from millstream.testing import fake_clock
        >>> with fake_clock() as clock:
        ...     began = clock.seconds
        ...     asyncio.run(asyncio.sleep(3600))
        ...     print(round(clock.seconds - began))
        3600
    """
    clock = FakeClock()
    made = partial(FakeTimeLoop, clock)
    with patch("asyncio.events.new_event_loop", made), given(clock):
        yield clock
