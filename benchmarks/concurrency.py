"""Many runs at once: `crowd` is one such crowd, in a process of its own."""

from __future__ import annotations

from typing import Final

from benchmarks.readings import Readings
from benchmarks.rows import (
    FLOOR,
    LANGGRAPH,
    MILLSTREAM,
    Contender,
    Goal,
    Group,
    Kind,
    Row,
    at_least,
    ceiling,
)

CONTENDERS: Final = (MILLSTREAM, LANGGRAPH, FLOOR)


def groups(runs: int = 1000, steps: int = 20, few: int = 100, length: int = 100) -> list[Group]:
    """Return the groups of this area."""
    return [
        _crowd(
            runs,
            steps,
            {
                "steps/s": ("steps a second", at_least(45_000, "steps/s")),
                "ms": ("p99 lag of a 1 ms ticker", ceiling(40, "ms")),
                "kB": ("memory per run", ceiling(20, "kB")),
            },
        ),
        _crowd(few, length, {"ms": ("p99 lag of a 1 ms ticker", ceiling(5, "ms"))}),
    ]


def _crowd(runs: int, steps: int, numbers: dict[str, tuple[str, Goal]]) -> Group:
    title = f"{runs} concurrent runs of {steps} steps"
    crowds = {who: Readings("benchmarks.crowd", [who, runs, steps]) for who in CONTENDERS}
    return Group(
        f"{title}; floor = a coroutine for each run",
        tuple(
            Row(
                f"{title}: {what}",
                "run" if name == "kB" else "",
                1,
                tuple(_contender(who, crowds[who], name) for who in CONTENDERS),
                (goal,),
                name,
                is_rate=goal.is_least,
            )
            for name, (what, goal) in numbers.items()
        ),
    )


def _contender(who: str, readings: Readings, name: str) -> Contender:
    return Contender(who, lambda _: readings.take(name), kind=Kind.SOLO)
