"""Every hand-written program does the same on millstream as on langgraph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from differential import programs
from differential.differences import DIFFERENCES
from differential.harness import compare, explain, first_settings, further_settings
from differential.registry import PROGRAMS, Program
from differential.rows import ROWS

programs.load()


def _timed(program: Program) -> list[Any]:
    reason = program.timed
    if reason is None:
        return []
    return [pytest.mark.flaky(reruns=2, reason=reason), pytest.mark.real_time(reason=reason)]


def _as_case(program: Program) -> Any:
    return pytest.param(program, id=program.name, marks=_timed(program))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", [_as_case(program) for program in PROGRAMS.values()])
def test_program_does_the_same_on_both_engines(program: Program) -> None:
    """Events, results, errors, warnings and printed text agree, with all modes at once."""
    mismatches = compare(program, list(first_settings(program)))

    assert not mismatches, explain(program, mismatches)


def _as_further_case(program: Program) -> Any:
    # Those of the first section are about how a run is asked for; the others repeat it.
    is_of_entry_points = any(row.startswith("1.") for row in program.rows)
    marks = [] if is_of_entry_points else [pytest.mark.long]
    return pytest.param(program, id=program.name, marks=[*marks, *_timed(program)])


@pytest.mark.parametrize(
    "program",
    [_as_further_case(program) for program in PROGRAMS.values() if any(further_settings(program))],
)
def test_program_does_the_same_however_it_is_asked(program: Program) -> None:
    """So they do with each mode alone, the other versions, with and without subgraphs."""
    mismatches = compare(program, list(further_settings(program)))

    assert not mismatches, explain(program, mismatches)


def test_every_row_of_the_specification_is_covered() -> None:
    """Programs name only known rows, and every row is named by at least one program."""
    claimed = {row for program in PROGRAMS.values() for row in program.rows}

    assert sorted(claimed - ROWS.keys()) == []
    assert sorted(ROWS.keys() - claimed) == []


def test_there_are_at_least_eighty_programs() -> None:
    """The number the project promises."""
    assert len(PROGRAMS) >= 80


def test_every_declared_difference_is_documented() -> None:
    """Each difference has its section in the compatibility page."""
    page = Path(__file__).parents[2] / "docs" / "compatibility.md"
    headings = {line.lstrip("# ").strip() for line in page.read_text().splitlines()}

    assert sorted({d.heading for d in DIFFERENCES.values()} - headings) == []
