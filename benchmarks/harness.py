"""Measure contenders in turns in one process.

The garbage collector stays on, because it is on where graphs run; what exists before a group is
measured is frozen out of it, so that imports and other groups do not add to anybody's cost.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from benchmarks.rows import MILLSTREAM, Call, Contender, Goal, Group, Row

MICRO: Final = 1e6

Measure: TypeAlias = Callable[[int], float]
"""Do the work so many times; return the seconds it took."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure a group."""

    seconds: float
    """Rounds go on until this much time has passed."""
    rounds: int
    """Rounds done in any case."""
    sample: float
    """Shortest sample in seconds; quicker work is repeated within one sample."""
    supersteps: int = 5000
    """Length of a run that is gauged."""


FULL: Final = Effort(seconds=8.0, rounds=7, sample=0.010)
QUICK: Final = Effort(seconds=1.0, rounds=3, sample=0.004, supersteps=1000)


@dataclass(frozen=True, slots=True)
class Samples:
    """Microseconds per unit, one number a round."""

    values: tuple[float, ...]

    @property
    def best(self) -> float:
        """The round that was disturbed least."""
        return min(self.values)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.values)


Results: TypeAlias = dict[tuple[str, str], Samples]
"""(row title, contender name) -> its samples."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a goal came out."""

    goal: Goal
    reached: float

    @property
    def is_met(self) -> bool:
        """Whether the bound holds."""
        return self.reached <= self.goal.limit


def judge(row: Row, results: Results) -> list[Verdict]:
    """Compare millstream's best round with each goal of the row.

    Quotients are those of the best rounds: disturbances only ever add time.
    """
    own = results[row.title, MILLSTREAM].best
    return [Verdict(goal, _reached(own, goal, results)) for goal in row.goals]


def _reached(own: float, goal: Goal, results: Results) -> float:
    base = results[goal.base].best if goal.base is not None else 0.0
    if goal.over is not None:
        return (own - base) / (results[goal.over].best - base)
    if goal.beyond is not None:
        return own - results[goal.beyond].best
    return own - base


def measure(group: Group, effort: Effort, loop: asyncio.AbstractEventLoop) -> Results:
    """Warm every contender up, then let them take turns until the effort is spent.

    Gauges are read once and all at the same time: they wait for processes of their own.
    """
    try:
        return {**_read_gauges(group, effort), **_time_turns(group, effort, loop)}
    finally:
        for contender in (contender for row in group.rows for contender in row.contenders):
            if contender.after is not None:
                _clock(contender.after, loop)(1)


def _read_gauges(group: Group, effort: Effort) -> Results:
    gauges = [
        ((row.title, contender.name), contender.call)
        for row in group.rows
        for contender in row.contenders
        if contender.is_gauge
    ]
    with ThreadPoolExecutor(max(1, len(gauges))) as pool:
        read = [(key, pool.submit(call, effort.supersteps)) for key, call in gauges]
        return {key: Samples((future.result(),)) for key, future in read}


def _time_turns(group: Group, effort: Effort, loop: asyncio.AbstractEventLoop) -> Results:
    turns = [
        (row, contender, _clock(contender.call, loop))
        for row in group.rows
        for contender in row.contenders
        if not contender.is_gauge
    ]
    if not turns:
        return {}
    counts = [_count(contender, clock, effort.sample) for _, contender, clock in turns]
    gc.collect()
    gc.freeze()
    try:
        rounds = interleave(
            [
                (contender.between, clock, count)
                for (_, contender, clock), count in zip(turns, counts, strict=True)
            ],
            effort,
        )
    finally:
        gc.unfreeze()
    return {
        (row.title, contender.name): Samples(
            tuple(taken[index] * MICRO / count / row.units for taken in rounds)
        )
        for index, ((row, contender, _), count) in enumerate(zip(turns, counts, strict=True))
    }


def interleave(
    turns: Sequence[tuple[Callable[[], object] | None, Measure, int]], effort: Effort
) -> list[list[float]]:
    """Return per round the seconds of each turn; every round gives everybody one turn, in order."""
    rounds: list[list[float]] = []
    started = time.perf_counter()
    while len(rounds) < effort.rounds or time.perf_counter() - started < effort.seconds:
        taken = []
        for between, clock, count in turns:
            if between is not None:
                between()
            taken.append(clock(count))
        rounds.append(taken)
    return rounds


def _count(contender: Contender, clock: Measure, sample: float) -> int:
    """Warm up and return how many calls make one sample."""
    if contender.between is not None:
        contender.between()
    clock(2)
    once = clock(1)
    return max(1, round(sample / max(once, 1e-7)))


def _clock(call: Call, loop: asyncio.AbstractEventLoop) -> Measure:
    if not inspect.iscoroutinefunction(call):
        return lambda count: _time(call, count)
    acall = cast(Callable[[], Awaitable[Any]], call)
    return lambda count: loop.run_until_complete(_atime(acall, count))


def _time(call: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - started


async def _atime(call: Callable[[], Awaitable[Any]], count: int) -> float:
    # The clock runs inside the loop: entering and leaving the loop is nobody's cost.
    started = time.perf_counter()
    for _ in range(count):
        await call()
    return time.perf_counter() - started
