"""The page about servers says what was measured, and a server can be measured."""

import dataclasses

import pytest
from benchmarks.servers.__main__ import measure
from benchmarks.servers.launching import AEGRA, MILLSTREAM, REFERENCE
from benchmarks.servers.page import page
from benchmarks.servers.scenes import QUICK, SCENES
from benchmarks.servers.table import misses, rows

FACTS = {
    "date": "today",
    "commit": "abc",
    "machine": "a machine",
    "load": 0.1,
    "load after": 0.2,
    "python": "CPython",
    "versions": {"millstream": "1"},
}
TINY = dataclasses.replace(
    QUICK, few_runs=2, events=20, rounds=1, clients=2, runs=20, threads=20, listeners=2, idle=0.1
)


def test_the_page_has_what_was_measured_with_ratio_and_goal() -> None:
    measured = {
        MILLSTREAM.name: {"first event": 4.0, "events of many": 20_000.0, "idle": 0.0},
        REFERENCE.name: {"first event": 1000.0, "events of many": 2_000.0},
    }

    text = page(FACTS, QUICK, 200, measured)

    assert "| first event of a run, one at a time | ms | 4 | 1,000 | 1/250 | ≤ 5 | yes |" in text
    assert "| events/s | 20,000 | 2,000 | 10.00x | ≥ 25,000 | **no** |" in text
    assert "| processor time while nobody is there | ms/s | 0 |  |  |  |  |" in text
    assert "copy one of" not in text
    assert "aegra |" not in text

    text = page(FACTS, QUICK, 200, {**measured, AEGRA.name: {"first event": 16.0}})

    assert "| millstream | langgraph dev | aegra | to langgraph dev | to aegra |" in text
    assert "| ms | 4 | 1,000 | 16 | 1/250 | 1/4 | ≤ 5 | yes |" in text


def test_a_goal_is_missed_from_its_own_side() -> None:
    numbers = {row.name: row.goal for row in rows(QUICK) if row.goal is not None}
    slower = {
        row.name: row.goal * (0.9 if row.is_rate else 1.1) + (not row.is_rate)
        for row in rows(QUICK)
        if row.goal is not None
    }

    assert list(misses(QUICK, {MILLSTREAM.name: numbers})) == []
    assert len(list(misses(QUICK, {MILLSTREAM.name: slower}))) == len(numbers)


@pytest.mark.long
def test_every_scene_measures_what_a_row_shows() -> None:
    numbers = measure(MILLSTREAM, list(SCENES), TINY)

    assert {row.name for row in rows(TINY)} <= set(numbers)
    assert all(value >= 0 for value in numbers.values())
