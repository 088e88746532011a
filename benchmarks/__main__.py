"""Run the comparisons: `python -m benchmarks [--quick] [--strict] [AREA]...`.

Everything at full length becomes RESULTS.md and results.svg beside this file; what is quick, or not
all of it, becomes the same in build/benchmarks. The numbers are kept there as JSON: `--render`
writes the page and the chart again without measuring. `--later` puts what some areas have reached
at the end of RESULTS.md, which the next run of everything writes anew.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks import (
    backpressure,
    building,
    chain,
    chart,
    cold,
    concurrency,
    conversations,
    durability,
    events,
    fanout,
    foreign,
    idle,
    journals,
    keys,
    machine,
    nested,
    record,
    recordings,
    remote,
    report,
    results,
    runs,
    saving,
    started,
    startup,
    states,
    steps,
    tokens,
    view,
)
from benchmarks.child import ROOT
from benchmarks.harness import FULL, QUICK, Effort, measure
from benchmarks.record import Measured, Record
from benchmarks.rows import Group

AREAS: Final[dict[str, Callable[[], list[Group]]]] = {
    "chain": lambda: chain.groups(engines=foreign.installed()),
    "states": states.groups,
    "cold": cold.groups,
    "idle": idle.groups,
    "keys": keys.groups,
    "steps": steps.groups,
    "fanout": lambda: fanout.groups(engines=foreign.installed()),
    "nested": nested.groups,
    "events": events.groups,
    "tokens": tokens.groups,
    "view": view.groups,
    "runs": runs.groups,
    "started": started.groups,
    "recordings": recordings.groups,
    "concurrency": concurrency.groups,
    "backpressure": backpressure.groups,
    "building": building.groups,
    "startup": startup.groups,
    "saving": saving.groups,
    "journals": journals.groups,
    "conversations": conversations.groups,
    "durability": durability.groups,
    "remote": remote.groups,
}
FOLDER: Final = ROOT / "build/benchmarks"
PAGE: Final = ROOT / "benchmarks/RESULTS.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen areas; 1 with `--strict` when a goal was missed, otherwise 0."""
    options = _parse(arguments)
    # langgraph's run streams say so whenever one is made.
    warnings.filterwarnings("ignore", message="The v3 streaming protocol .* is experimental")
    console = report.make_console()
    is_all = not options.quick and not options.areas
    numbers = FOLDER / f"{'part' if options.areas else 'quick' if options.quick else 'full'}.json"
    if options.render:
        found = record.load(numbers)
    else:
        found = _measure(console, options.areas or list(AREAS), QUICK if options.quick else FULL)
        record.save(found, numbers)
    missed = report.show_summary(console, found.parts)
    if options.later:
        page = results.with_later(PAGE.read_text(encoding="utf-8"), options.areas, found)
        PAGE.write_text(page, encoding="utf-8")
        console.print(f"Added a section to {PAGE}")
        return 1 if missed and options.strict else 0
    if is_all or options.render:
        folder = ROOT / "benchmarks" if is_all else FOLDER
        (folder / "RESULTS.md").write_text(results.page(found), encoding="utf-8")
        is_drawn = chart.draw(found, folder / "results.svg")
        console.print(f"Wrote RESULTS.md{' and results.svg' if is_drawn else ''} in {folder}")
    return 1 if missed and options.strict else 0


def _measure(console: Any, areas: Sequence[str], effort: Effort) -> Record:
    loop = asyncio.new_event_loop()
    facts = machine.facts()
    parts = []
    try:
        report.show_preamble(console, facts["versions"])
        for area in areas:
            for group in AREAS[area]():
                parts.append(Measured(group, measure(group, effort, loop)))
                report.show_group(console, parts[-1])
    finally:
        loop.close()
    return Record({**facts, "load after": machine.load()}, parts)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"some of {', '.join(AREAS)}")
    parser.add_argument("--quick", action="store_true", help="finish in two minutes")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument(
        "--render", action="store_true", help="measure nothing; write what was measured last"
    )
    parser.add_argument(
        "--later", action="store_true", help="add what the areas have reached to RESULTS.md"
    )
    options = parser.parse_args(arguments)
    if options.later and (options.quick or not options.areas):
        parser.error("--later is for some areas at full length: name them, without --quick")
    for area in options.areas:
        if area not in AREAS:
            parser.error(f"unknown area {area!r}; choose from {', '.join(AREAS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
