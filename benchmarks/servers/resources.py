"""What a process and those it has started take from the machine; read from Linux's /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def _family(pid: int) -> Iterator[Path]:
    home = Path("/proc") / str(pid)
    yield home
    for children in home.glob("task/*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _field(status: str, name: str) -> int:
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1])


def memory(pid: int) -> float:
    """Return the megabytes of memory in use."""
    return sum(_field((p / "status").read_text(), "VmRSS") for p in _family(pid)) / 1024


def processor_time(pid: int) -> float:
    """Return the seconds of processor time spent so far."""
    ticks = 0
    for process in _family(pid):
        # The name, which may hold anything, is in brackets.
        numbers = (process / "stat").read_text().rpartition(")")[2].split()
        ticks += int(numbers[11]) + int(numbers[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wake_ups(pid: int) -> int:
    """Return how often threads have waited for something so far."""
    return sum(
        _field(status.read_text(), "voluntary_ctxt_switches")
        for process in _family(pid)
        for status in process.glob("task/*/status")
    )
