"""Run the comparisons: `python -m benchmarks [--quick] [--strict] [AREA]...`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks import (
    backpressure,
    building,
    chain,
    durability,
    events,
    fanout,
    floor,
    idle,
    keys,
    nested,
    report,
    runs,
    saving,
    tokens,
)
from benchmarks.harness import FULL, QUICK, Effort, Verdict, judge, measure
from benchmarks.rows import MILLSTREAM, Contender, Group, Row

AREAS: Final[dict[str, Callable[[], list[Group]]]] = {
    "chain": chain.groups,
    "idle": idle.groups,
    "keys": keys.groups,
    "fanout": fanout.groups,
    "nested": nested.groups,
    "events": events.groups,
    "tokens": tokens.groups,
    "runs": runs.groups,
    "backpressure": backpressure.groups,
    "building": building.groups,
    "saving": saving.groups,
    "durability": durability.groups,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen areas; 1 with `--strict` when a goal was missed, otherwise 0."""
    options = _parse(arguments)
    # langgraph's run streams say so whenever one is made.
    warnings.filterwarnings("ignore", message="The v3 streaming protocol .* is experimental")
    console = report.make_console()
    effort = QUICK if options.quick else FULL
    loop = asyncio.new_event_loop()
    verdicts: dict[str, list[Verdict]] = {}
    try:
        speed = machine_speed(loop)
        report.show_preamble(console, speed)
        for area in options.areas or AREAS:
            for group in AREAS[area]():
                before = machine_speed(loop)
                results = measure(group, effort, loop)
                # A neighbour comes and goes within seconds; both ends say more than one.
                speed = (before + machine_speed(loop)) / 2
                report.show_group(console, group, results, speed)
                for row in group.rows:
                    if row.goals:
                        verdicts[row.title] = judge(row, results)
    finally:
        loop.close()
    missed = report.show_summary(console, verdicts, speed)
    return 1 if missed and options.strict else 0


def machine_speed(loop: asyncio.AbstractEventLoop) -> float:
    """Return how many times longer the floor takes than on the reference machine."""
    nodes = [(f"n{index}", chain.step) for index in range(100)]
    row = Row("floor", "step", 100, (Contender(MILLSTREAM, floor.chain(nodes)),))  # type: ignore[arg-type]  # a TypedDict is a dict here
    effort = Effort(seconds=0.1, rounds=5, sample=0.002)
    samples = measure(Group("floor", (row,)), effort, loop)[row.title, MILLSTREAM]
    return samples.median / floor.REFERENCE_STEP


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"some of {', '.join(AREAS)}")
    parser.add_argument("--quick", action="store_true", help="finish in a minute or two")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args(arguments)
    for area in options.areas:
        if area not in AREAS:
            parser.error(f"unknown area {area!r}; choose from {', '.join(AREAS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
