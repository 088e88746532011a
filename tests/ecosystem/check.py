"""Run the scenarios and the application on both engines and compare: check.py WITH WITHOUT.

WITH and WITHOUT are virtual environments that have the `langgraph` distribution and do not. The
reference is LangGraph itself; millstream runs in both. `--measure` also times the scenarios and
writes the table in docs/ecosystem.md, which otherwise must say what was found, but for times.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from comparing import DIFFERENCES, differences_between, lines

HERE: Final = Path(__file__).parent
DOCS: Final = HERE.parent.parent / "docs"
TABLE: Final = re.compile(
    r"(?<=<!-- scripts/ecosystem measure writes this -->\n).*?(?=<!-- end -->)", re.S
)
TIMES: Final = re.compile(r"[\d.]+ ms")
ROUNDS: Final = 4
REPEATS: Final = 10
"""Plays of a scenario in each of the rounds in which times are taken."""
SECONDS: Final = 150
"""No process takes that long, unless something hangs."""
SHOWN: Final = 3
"""Events of a scenario that are shown when they differ."""

VISITS: Final[tuple[tuple[str, ...], ...]] = (
    ("anne", "monday"),
    ("anne", "monday", "again"),
    ("bob", "monday"),
    (),
    ("anne", "tuesday"),
)
"""What the application is started with, one process after the other; `again` names a text."""


@dataclass(frozen=True)
class Way:
    """One way to run a program."""

    name: str
    command: tuple[str, ...]
    has_langgraph: bool


def main() -> int:
    """Run everything; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("with_langgraph", type=Path)
    parser.add_argument("without_langgraph", type=Path)
    parser.add_argument("--measure", action="store_true")
    arguments = parser.parse_args()
    own, other = (
        folder.absolute() / "bin"
        for folder in (arguments.with_langgraph, arguments.without_langgraph)
    )
    ours = (str(own / "millstream"), "exec")
    reference = Way("langgraph", (str(own / "python"),), has_langgraph=True)
    beside = Way("millstream beside langgraph", ours, has_langgraph=True)
    alone = Way("millstream alone", (str(other / "millstream"), "exec"), has_langgraph=False)

    results = Results()
    reports = {way: _played(way) for way in (reference, beside, alone)}
    for way, report in reports.items():
        _check_modules(results, way, report, runs_real=way is reference)
    rows = _compare_scenarios(results, reports, reference, (beside, alone))
    if arguments.measure:
        _time(rows, reference, beside)
    _compare_application(results, reference, (beside, alone))
    _check_differences(results, rows)
    if not results.failed or arguments.measure:
        _check_table(results, rows, write=arguments.measure)
    return results.conclude()


class Results:
    """What was checked, told as it is found."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def note(self, name: str, problems: Sequence[str]) -> None:
        """Count one check, and tell of its problems."""
        if problems:
            self.failed += 1
            print(f"FAILED {name}", *problems, sep="\n    ", flush=True)
        else:
            self.passed += 1
            print(f"ok     {name}", flush=True)

    def conclude(self) -> int:
        """Print the sum; return the exit code."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def _environment() -> dict[str, str]:
    settings = ("LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "MILLSTREAM_AS_LANGGRAPH", "PYTHON")
    return {key: value for key, value in os.environ.items() if not key.startswith(settings)}


def _played(way: Way, repeats: int = 0) -> dict[str, Any]:
    """Play the scenarios in one process and return what they saw."""
    print(f"playing on {way.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.json"
        command = [*way.command, str(HERE / "run.py"), str(out), "--repeat", str(repeats)]
        subprocess.run(command, check=True, env=_environment(), timeout=SECONDS)
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def _check_modules(results: Results, way: Way, report: dict[str, Any], *, runs_real: bool) -> None:
    problems = []
    if report["is_installed"] is not way.has_langgraph:
        problems.append(f"the langgraph distribution is installed: {report['is_installed']}")
    if runs_real and not report["loaded"]:
        problems.append("no module of the langgraph distribution is loaded")
    if not runs_real and report["loaded"]:
        problems.append(f"modules of the langgraph distribution are loaded: {report['loaded']}")
    results.note(f"modules loaded on {way.name}", problems)


def _compare_scenarios(
    results: Results, reports: dict[Way, Any], reference: Way, others: Sequence[Way]
) -> list[dict[str, Any]]:
    """Compare what the scenarios saw, and return the rows of the table."""
    rows = []
    for name, theirs in reports[reference]["scenarios"].items():
        problems = [f"on {reference.name}: {theirs['failure']}"] if "failure" in theirs else []
        needed: set[str] = set()
        for way in others:
            ours = reports[way]["scenarios"].get(name, {"events": [], "failure": "not played"})
            if "failure" in ours:
                problems.append(f"on {way.name}: {ours['failure']}")
            found = differences_between(theirs["events"], ours["events"])
            if found is None:
                problems += _shown(way, theirs["events"], ours["events"])
            needed.update(found or ())
        rows.append(
            {
                "name": name,
                **theirs,
                "needed": sorted(needed),
                "is_same": not problems,
                "times": [None, None],
            }
        )
        results.note(name, problems)
    return rows


def _time(rows: list[dict[str, Any]], *ways: Way) -> None:
    """Add to the rows what each scenario takes at best: machines have other things to do, too."""
    for _ in range(ROUNDS):
        for way in ways:
            played = _played(way, REPEATS)["scenarios"]
            for row in rows:
                known = row["times"][ways.index(way)]
                taken = filter(None, (known, played[row["name"]].get("seconds")))
                row["times"][ways.index(way)] = min(taken, default=None)


def _shown(way: Way, theirs: list[Any], ours: list[Any]) -> list[str]:
    """Say where two recordings differ."""
    everything = frozenset(DIFFERENCES)
    expected, found = lines(theirs, everything), lines(ours, everything)
    shown = [f"{way.name}: {len(found)} events, expected {len(expected)}"]
    for number, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other and len(shown) <= 2 * SHOWN:
            place = next(
                (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)),
            )
            start = max(0, place - 60)
            shown.append(f"event {number} expected ...{one[start : place + 120]}")
            shown.append(f"event {number} is       ...{other[start : place + 120]}")
    return shown


def _compare_application(results: Results, reference: Way, others: Sequence[Way]) -> None:
    """Run the application as its users do, also with another engine for each next visit."""
    expected = _conversation([reference] * len(VISITS))
    if isinstance(expected, str):
        results.note("application", [expected])
        return
    mixed = [reference if index % 2 == 0 else others[0] for index in range(len(VISITS))]
    runs = [(way.name, [way] * len(VISITS)) for way in others]
    for name, ways in [*runs, ("by turns on langgraph and millstream", mixed)]:
        found = _conversation(ways)
        problems = []
        if isinstance(found, str):
            problems.append(found)
        elif found != expected:
            for one, other in zip(expected, found, strict=False):
                if one != other:
                    problems += [f"expected {one}", f"is       {other}"]
            problems = problems[: 2 * SHOWN] or ["it says more, or less"]
        results.note(f"application, {name}", problems)


def _conversation(ways: Sequence[Way]) -> list[str] | str:
    """Return what the application printed during all visits, or what went wrong."""
    said = []
    application = HERE / "application"
    with tempfile.TemporaryDirectory() as folder:
        for way, visit in zip(ways, VISITS, strict=True):
            text = (application / f"{'-'.join(visit)}.txt").read_text() if visit else ""
            done = subprocess.run(
                [*way.command, str(application / "main.py"), folder, *visit[:2]],
                input=text,
                text=True,
                capture_output=True,
                env=_environment(),
                timeout=SECONDS,
            )
            if done.returncode or done.stderr:
                return f"on {way.name}: {done.stderr[-2000:]} (exit code {done.returncode})"
            said += done.stdout.splitlines()
    return said


def _check_differences(results: Results, rows: list[dict[str, Any]]) -> None:
    page = (DOCS / "compatibility.md").read_text()
    shown = _in_order(rows)
    problems = []
    for name, difference in DIFFERENCES.items():
        if f"\n### {difference.heading}\n" not in page:
            problems.append(f"docs/compatibility.md has no heading {difference.heading!r}")
        if name not in shown:
            problems.append(f"no scenario shows {name!r} any more")
    results.note("every difference is explained and still one", problems)


def _check_table(results: Results, rows: list[dict[str, Any]], *, write: bool) -> None:
    page = DOCS / "ecosystem.md"
    text = page.read_text()
    table = _table(rows)
    if write:
        page.write_text(TABLE.sub(lambda _: table, text))
    found = TABLE.search(text)
    written = TABLE.search(page.read_text())
    problems = []
    if found is None or written is None:
        problems.append("it has no place for the table")
    elif "MILLSTREAM_TEST_POSTGRES" in os.environ and _untimed(written[0]) != _untimed(table):
        problems.append("it says something else; run scripts/ecosystem measure and look at it")
    results.note("docs/ecosystem.md says what was found", problems)


def _untimed(table: str) -> str:
    return TIMES.sub("? ms", table)


def _table(rows: list[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    numbers = {name: number for number, name in enumerate(_in_order(rows), 1)}
    text = (
        "| package | version | scenario | same events | on LangGraph | on millstream |\n"
        "|---|---|---|---|---|---|\n"
    )
    for row in sorted(rows, key=lambda row: (row["package"], row["about"])):
        same = "yes" if row["is_same"] else "no"
        if row["needed"]:
            shown = sorted(numbers[name] for name in row["needed"])
            same += f", but for {', '.join(map(str, shown))}"
        times = " | ".join(map(_milliseconds, row["times"]))
        text += f"| {row['package']} | {row['version']} | {row['about']} | {same} | {times} |\n"
    text += "\n"
    for name, number in numbers.items():
        heading = DIFFERENCES[name].heading
        text += f"{number}. [{heading}](compatibility.md#{_anchor(heading)})\n"
    return text


def _in_order(rows: list[dict[str, Any]]) -> list[str]:
    needed = {name for row in rows for name in row["needed"]}
    return [name for name in DIFFERENCES if name in needed]


def _milliseconds(seconds: float | None) -> str:
    return "? ms" if seconds is None else f"{1000 * seconds:.1f} ms"


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
