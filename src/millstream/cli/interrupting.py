"""Ctrl-C: the first one stops a run in good order, the second one does not wait for it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from millstream.cli.failures import INTERRUPTED


@contextmanager
def interruptible(
    told: Callable[[], object], *, before_leaving: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Have `told` called at the first Ctrl-C, before what runs is stopped.

    The second one ends the process at once, after `before_leaving`.
    """
    before = signal.getsignal(signal.SIGINT)
    # A shell has its background jobs ignore Ctrl-C, and that is left alone.
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave_now(number: int, frame: FrameType | None) -> None:
        before_leaving()
        leave()

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, leave_now)
        told()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def leave() -> None:
    """End the process without waiting for anything: nodes in threads may run for long."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):
                    stream.flush()
    finally:
        os._exit(INTERRUPTED)
