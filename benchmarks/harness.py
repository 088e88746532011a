"""Measure contenders in turns in one process.

The garbage collector stays on, because it is on where graphs run; what exists before a group is
measured is frozen out of it, so that imports and other groups do not add to anybody's cost.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from benchmarks.rows import MILLSTREAM, Contender, Goal, Group, Kind, Row
from benchmarks.timing import Measure, stopwatch

SCALES: Final = {"µs": 1e6, "ms": 1e3}
"""What a timed row is measured in -> how many of them are a second."""
SLOW: Final = 0.1
"""Seconds after which one call was warm-up enough."""


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
    readings: int = 1
    """How often solo gauges are read in any case."""


FULL: Final = Effort(seconds=8.0, rounds=7, sample=0.010, readings=3)
QUICK: Final = Effort(seconds=0.5, rounds=3, sample=0.004, supersteps=100)


@dataclass(frozen=True, slots=True)
class Samples:
    """Results per unit, one number a round."""

    values: tuple[float, ...]
    is_rate: bool = False

    @property
    def best(self) -> float:
        """The round that was disturbed least."""
        return max(self.values) if self.is_rate else min(self.values)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.values)


Results: TypeAlias = dict[tuple[str, str], Samples]
"""(row title, contender name) -> its samples."""

Key: TypeAlias = tuple[Row, Contender]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a goal came out."""

    goal: Goal
    reached: float | None
    """`None` if the contender that the goal names was not there, or millstream's saver was not."""

    @property
    def is_met(self) -> bool:
        """Whether the bound is known to hold."""
        if self.reached is None:
            return False
        if self.goal.is_least:
            return self.reached >= self.goal.limit
        return self.reached <= self.goal.limit


def judge(row: Row, results: Results) -> list[Verdict]:
    """Compare millstream's best round with each goal of the row.

    Quotients are those of the best rounds: disturbances only ever add time.
    """
    if (row.title, MILLSTREAM) not in results:
        return [Verdict(goal, None) for goal in row.goals]
    own = results[row.title, MILLSTREAM].best
    return [Verdict(goal, _reached(own, goal, results)) for goal in row.goals]


def _reached(own: float, goal: Goal, results: Results) -> float | None:
    if any(key is not None and key not in results for key in (goal.base, goal.over, goal.beyond)):
        return None
    base = results[goal.base].best if goal.base is not None else 0.0
    if goal.over is not None:
        return (own - base) / (results[goal.over].best - base)
    if goal.beyond is not None:
        return own - results[goal.beyond].best
    return own - base


def measure(group: Group, effort: Effort, loop: asyncio.AbstractEventLoop) -> Results:
    """Warm every contender up, then let them take turns until the effort is spent."""
    every = [(row, contender) for row in group.rows for contender in row.contenders]
    gauges = [key for key in every if key[1].kind is Kind.GAUGE]
    solos = [key for key in every if key[1].kind is Kind.SOLO]
    timed = [key for key in every if key[1].kind not in (Kind.GAUGE, Kind.SOLO)]
    try:
        return {
            **_read_at_once(gauges, effort),
            **_read_in_turns(solos, effort),
            **_time_in_turns(timed, effort, loop),
        }
    finally:
        for _, contender in every:
            if contender.after is not None:
                stopwatch(contender.after, loop)(1)


def _read_at_once(keys: Sequence[Key], effort: Effort) -> Results:
    """Read gauges all at the same time: they wait for processes of their own."""
    with ThreadPoolExecutor(max(1, len(keys))) as pool:
        read = [(key, pool.submit(key[1].call, effort.supersteps)) for key in keys]
        return _results((key, (future.result(),)) for key, future in read)


def _read_in_turns(keys: Sequence[Key], effort: Effort) -> Results:
    if not keys:
        return {}
    turns = [(None, cast(Measure, contender.call), effort.supersteps) for _, contender in keys]
    rounds = interleave(turns, effort.seconds, effort.readings)
    return _results(zip(keys, zip(*rounds, strict=True), strict=True))


def _time_in_turns(keys: Sequence[Key], effort: Effort, loop: asyncio.AbstractEventLoop) -> Results:
    if not keys:
        return {}
    clocks = [_clock(contender, loop) for _, contender in keys]
    turns = [
        (contender.between, clock, _count(contender, clock, effort.sample))
        for (_, contender), clock in zip(keys, clocks, strict=True)
    ]
    with _set_apart():
        rounds = interleave(turns, effort.seconds, effort.rounds)
    return _results(
        (
            key,
            [
                taken[index] * SCALES[key[0].measure] / turns[index][2] / key[0].units
                for taken in rounds
            ],
        )
        for index, key in enumerate(keys)
    )


@contextmanager
def _set_apart() -> Iterator[None]:
    """Have the collector pass by what is there now; what somebody else has set apart stays so."""
    was_set_apart = gc.get_freeze_count() > 0
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        if not was_set_apart:
            gc.unfreeze()


def _results(read: Iterable[tuple[Key, Iterable[float]]]) -> Results:
    return {
        (row.title, contender.name): Samples(tuple(values), row.is_rate)
        for (row, contender), values in read
    }


def interleave(
    turns: Sequence[tuple[Callable[[], object] | None, Measure, int]], seconds: float, least: int
) -> list[list[float]]:
    """Return what each turn gave, per round; every round gives everybody one turn, in order."""
    rounds: list[list[float]] = []
    started = time.perf_counter()
    while len(rounds) < least or time.perf_counter() - started < seconds:
        taken = []
        for between, clock, count in turns:
            if between is not None:
                between()
            taken.append(clock(count))
        rounds.append(taken)
    return rounds


def _clock(contender: Contender, loop: asyncio.AbstractEventLoop) -> Measure:
    if contender.kind is Kind.CLOCKED:
        return cast(Measure, contender.call)
    return stopwatch(contender.call, loop)


def _count(contender: Contender, clock: Measure, sample: float) -> int:
    """Warm up and return how many calls make one sample."""
    if contender.between is not None:
        contender.between()
    once = clock(1)
    if contender.kind is Kind.ONCE:
        return 1
    if once < SLOW:
        clock(1)
        once = clock(1)
    return max(1, round(sample / max(once, 1e-7)))
