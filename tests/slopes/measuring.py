"""Measuring work: executed bytecodes, which repeat exactly, and times, for what bytecodes hide.

A bytecode count sees every loop written in Python, whatever else the machine does; it is what most
tests here compare. It does not see loops in C, such as copying a list or a dict; for these the
processor's time is taken, which a busy machine disturbs less than the clock's.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import inf
from types import FrameType
from typing import Any, TypeAlias

Trace: TypeAlias = "Callable[[FrameType, str, Any], Trace | None]"
Reading: TypeAlias = Callable[[], int]
Watch: TypeAlias = Callable[[int], object]
"""Is told the number of each superstep when it begins."""

EARLY, LATE = (100, 200), (900, 1000)
BLOCKS = 12
"""How often times are taken again before a growth is believed."""


@contextmanager
def counted_work() -> Iterator[Reading]:
    """Count the bytecodes of this thread and of threads started here; gives the way to read them.

    Only functions that are called inside are counted, not the one that the block belongs to.
    """
    # Advancing it is one step in C, so that no thread loses another's.
    tick = count().__next__

    def enter(frame: FrameType, event: str, arg: Any) -> Trace:
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return follow

    def follow(frame: FrameType, event: str, arg: Any) -> Trace:
        if event == "opcode":
            tick()
        return follow

    previous, previous_of_threads = sys.gettrace(), threading.gettrace()
    threading.settrace(enter)
    sys.settrace(enter)
    try:
        yield tick
    finally:
        sys.settrace(previous)
        threading.settrace(previous_of_threads)  # type: ignore[arg-type]  # None is fine


def work_of(call: Callable[[], object]) -> int:
    """Return how many bytecodes a call executes the second time.

    The first time imports modules, fills caches and, from Python 3.12 on, prepares for counting.
    """
    for _ in range(2):
        with counted_work() as work:
            call()
            done = work()
    return done


def growth(small: Callable[[], object], large: Callable[[], object], *, limit: float) -> float:
    """Return what the second call costs, in processor time, as a multiple of the first.

    The shortest of many times is taken: what disturbs a process only ever adds. The calls take
    turns, in blocks of five, until the answer is below the limit or more turns would not help.
    """
    best = [inf, inf]
    for _ in range(BLOCKS):
        for _ in range(5):
            best = [
                min(known, _time_of(call)) for known, call in zip(best, (small, large), strict=True)
            ]
        if best[1] <= limit * best[0]:
            break
    return best[1] / best[0]


def _time_of(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def counted_growth(run: Callable[[Watch], object]) -> float:
    """Return what a late stretch of a run costs, in bytecodes, as a multiple of an early one.

    The run is carried out twice, as in `work_of`.
    """
    for _ in range(2):
        with counted_work() as work:
            early, late = _stretches(run, work)
    return late / early


def timed_growth(run: Callable[[Watch], object], *, limit: float) -> float:
    """Return what a late stretch of a run costs, in time, as a multiple of an early one.

    Times are those of `growth`, the shortest of as many runs as it takes.
    """
    early = late = inf
    for _ in range(BLOCKS):
        for _ in range(3):
            found = _stretches(run, time.process_time)
            early, late = min(early, found[0]), min(late, found[1])
        if late <= limit * early:
            break
    return late / early


def _stretches(run: Callable[[Watch], object], read: Callable[[], float]) -> tuple[float, float]:
    """Return what a hundred supersteps cost, early in a run and late in it."""
    marks: dict[int, float] = {}

    def watch(step: int) -> None:
        if step in (*EARLY, *LATE):
            marks[step] = read()

    run(watch)
    early, late = (marks[end] - marks[start] for start, end in (EARLY, LATE))
    return early, late
