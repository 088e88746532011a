"""How goals and results are put into words."""

from __future__ import annotations

from typing import Final

from benchmarks.harness import Verdict
from benchmarks.rows import MILLSTREAM, Goal, Row

UNKNOWN: Final = "not measured"
BASIS: Final = (
    "Absolute goals are for an otherwise idle 2-core machine on which a step of the chain took "
    "langgraph 146 µs (sync) and 175 µs (async); its column says how this machine compares."
)


def number(value: float) -> str:
    """Return three digits or more of a number, and no more than two behind the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _digits(divisor: float) -> str:
    return f"{divisor:.2f}" if divisor < 10 else f"{divisor:.1f}"


def quotient(own: float, other: float) -> str:
    """Return how much one number is of another, as a fraction if it is less."""
    return f"1/{_digits(other / own)}" if own < other else f"{own / other:.2f}x"


def amounts(verdict: Verdict) -> tuple[str, str]:
    """Return what was reached and what the goal is, in the same terms."""
    goal, reached = verdict.goal, verdict.reached
    if goal.over is not None:
        allowed = f"1/{1 / goal.limit:g}" if goal.limit < 1 else f"{goal.limit:g}x"
        if reached is None:
            return UNKNOWN, allowed
        is_fraction = goal.limit < 1 and 0 < reached < 1
        return f"1/{_digits(1 / reached)}" if is_fraction else f"{reached:.2f}x", allowed
    sign = "+" if goal.beyond is not None else ""
    allowed = f"{sign}{goal.limit:,g} {goal.unit}"
    if reached is None:
        return UNKNOWN, allowed
    return f"{reached:{sign},.1f}", allowed


def claim(row: Row, goal: Goal) -> str:
    """Return the goal of the row in full."""
    _, allowed = amounts(Verdict(goal, None))
    words = f"{'≥' if goal.is_least else '≤'} {allowed}"
    key = goal.over or goal.beyond
    if key is not None:
        title, name = key
        words += f" of {title if name == MILLSTREAM else name}"
        if name != MILLSTREAM and title != row.title:
            words += f" in {title}"
    return words + (f" added to the {goal.base[1]}" if goal.base is not None else "")
