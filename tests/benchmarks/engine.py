"""An engine for the tests of `child`, run as a program: it does nothing, or what it should not."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable

from benchmarks.engines.serving import serve


def idle(size: int) -> Callable[[], None]:
    """Take no time, and talk where answers are written."""
    sys.stdout.write("an engine's own words\n")
    sys.stdout.flush()
    return lambda: None


def aslow(size: int) -> Callable[[], object]:
    """Take so many milliseconds."""

    async def run() -> None:
        await asyncio.sleep(size / 1000)

    return run


def wrong(size: int) -> Callable[[], None]:
    """Find out that the result is wrong."""

    def run() -> None:
        raise AssertionError(f"{size - 1} instead of {size}")

    return run


def dying(size: int) -> Callable[[], None]:
    """End the process in the middle of the work."""

    def run() -> None:
        sys.stderr.write("the last words\n")
        sys.stderr.flush()
        os._exit(size)

    return run


def endless(size: int) -> Callable[[], None]:
    """Tell who has opened the pipe that the work has begun, and never end."""

    def run() -> None:
        if len(sys.argv) > 1:
            pipe = os.open(sys.argv[1], os.O_WRONLY)
            # Stays open: whoever reads it sees this process end.
            os.write(pipe, f"{os.getpid()}\n".encode())
        threading.Event().wait()

    return run


serve({"idle": idle, "aslow": aslow, "wrong": wrong, "dying": dying, "endless": endless})
