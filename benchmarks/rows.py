"""What is measured and what it has to reach.

A `Group` is measured together: its contenders take turns, so that a machine that is busy for a
while is busy for all of them. Every result is microseconds per unit of work (a step, a key, ...);
a gauge's is what its row says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

MILLSTREAM: Final = "millstream"
LANGGRAPH: Final = "langgraph"
FLOOR: Final = "floor"

Call: TypeAlias = "Callable[..., Any] | Callable[..., Awaitable[Any]]"


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
    is_gauge: bool = False
    """`call` is no work to be timed: given the number of supersteps, it returns the result."""


@dataclass(frozen=True, slots=True)
class Goal:
    """An upper bound for millstream in the goal's row."""

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


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: the same work done by each contender."""

    title: str
    unit: str
    units: int
    """How many units one call does."""
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured together, because they are compared with each other."""

    title: str
    rows: tuple[Row, ...]


def ceiling(limit: float, unit: str = "µs") -> Goal:
    """Return the goal of at most `limit`, by default microseconds per unit of work."""
    return Goal(limit, unit=unit)


def fraction(row: str, divisor: float) -> Goal:
    """Return the goal of costing at most one `divisor`th of langgraph in the same row."""
    return Goal(1 / divisor, (row, LANGGRAPH))


def growth(base: str, limit: float) -> Goal:
    """Return the goal of costing at most `limit` times what millstream costs in the row `base`."""
    return Goal(limit, (base, MILLSTREAM))


def at_most_beyond(base: str, limit: float) -> Goal:
    """Return the goal of at most `limit` MB more than millstream has in the row `base`."""
    return Goal(limit, beyond=(base, MILLSTREAM))


def added(row: str, limit: float, unit: str = "µs") -> Goal:
    """Return the goal of adding at most `limit` to the floor of the row."""
    return Goal(limit, base=(row, FLOOR), unit=unit)


def added_fraction(row: str, divisor: float) -> Goal:
    """Return the goal of adding at most one `divisor`th of what langgraph adds to the floor."""
    return Goal(1 / divisor, (row, LANGGRAPH), base=(row, FLOOR))
