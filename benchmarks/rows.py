"""What is measured and what it has to reach.

A `Group` is measured together: its contenders take turns, so that a machine that is busy for a
while is busy for all of them. Every result is per unit of work (a step, a key, ...), in what the
row says it is measured in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

MILLSTREAM: Final = "millstream"
LANGGRAPH: Final = "langgraph"
FLOOR: Final = "floor"
TASKS: Final = "a bare task per step"
"""A second floor: asyncio's price of running each step on its own."""
NEOGRAPH: Final = "neograph-engine"

Call: TypeAlias = "Callable[..., Any] | Callable[..., Awaitable[Any]]"


class Kind(Enum):
    """What a contender's `call` is, and so how it is measured."""

    WORK = "work"
    """The harness times it, and repeats it until there is enough to time."""
    ONCE = "once"
    """As `WORK`, but one call is one sample: another would not do the same."""
    CLOCKED = "clocked"
    """Given how often to do the work, it returns the seconds that took."""
    GAUGE = "gauge"
    """Given the number of supersteps, it returns the result; gauges of a group are read at once."""
    SOLO = "solo"
    """A gauge that is read while nothing else runs: in turns, and more than once."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work of a row."""

    name: str
    call: Call
    """Do the work once; a coroutine function is awaited in one event loop kept for all."""
    between: Callable[[], object] | None = None
    """Called before every sample, outside the clock."""
    after: Call | None = None
    """Called when everything has been measured."""
    kind: Kind = Kind.WORK


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for millstream in the goal's row."""

    limit: float
    """In `unit`s, with `over` a quotient, with `beyond` megabytes."""
    over: tuple[str, str] | None = None
    """The row and contender whose result millstream's is divided by."""
    beyond: tuple[str, str] | None = None
    """The row and contender whose result is subtracted from millstream's."""
    base: tuple[str, str] | None = None
    """The row and contender whose result is subtracted from all others first: what counts is what
    is added to it."""
    unit: str = "µs"
    """What the row's results are; microseconds are those of one unit of its work."""
    is_least: bool = False
    """Whether there must be at least so much, not at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: the same work done by each contender."""

    title: str
    unit: str
    units: int
    """How many units one call does."""
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()
    measure: str = "µs"
    """What results are in. What is timed is in `µs` or `ms`, a gauge's result in what it says."""
    is_rate: bool = False
    """Whether more is better."""
    missing: str = ""
    """What is not there, so that nobody can be measured; then there are no contenders."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured together, because they are compared with each other."""

    title: str
    rows: tuple[Row, ...]


def ceiling(limit: float, unit: str = "µs") -> Goal:
    """Return the goal of at most `limit`, by default microseconds per unit of work."""
    return Goal(limit, unit=unit)


def at_least(limit: float, unit: str) -> Goal:
    """Return the goal of `limit` or more."""
    return Goal(limit, unit=unit, is_least=True)


def fraction(row: str, divisor: float, of: str = LANGGRAPH) -> Goal:
    """Return the goal of costing at most one `divisor`th of another contender, as a rule in the
    same row."""
    return Goal(1 / divisor, (row, of))


def multiple(row: str, limit: float, of: str) -> Goal:
    """Return the goal of costing at most `limit` times another contender in the same row."""
    return Goal(limit, (row, of))


def growth(base: str, limit: float) -> Goal:
    """Return the goal of costing at most `limit` times what millstream costs in the row `base`."""
    return Goal(limit, (base, MILLSTREAM))


def at_most_beyond(base: str, limit: float) -> Goal:
    """Return the goal of at most `limit` MB more than millstream has in the row `base`."""
    return Goal(limit, beyond=(base, MILLSTREAM), unit="MB")


def added(row: str, limit: float, unit: str = "µs") -> Goal:
    """Return the goal of adding at most `limit` to the floor of the row."""
    return Goal(limit, base=(row, FLOOR), unit=unit)


def added_fraction(row: str, divisor: float) -> Goal:
    """Return the goal of adding at most one `divisor`th of what langgraph adds to the floor."""
    return Goal(1 / divisor, (row, LANGGRAPH), base=(row, FLOOR))
