"""A server on files beside one on PostgreSQL: what the table of it says."""

from __future__ import annotations

from benchmarks.scale.databases import FILES, POSTGRES, WAITING, rows


def test_others_are_told_as_multiples_of_files() -> None:
    measured = {
        FILES: {"first event, ms": [10.0, 20.0, 30.0], "runs a second": [100.0, 200.0, 300.0]},
        POSTGRES: {"first event, ms": [30.0, 30.0, 60.0], "runs a second": [100.0]},
        WAITING: {"first event, ms": [50.0], "runs a second": [50.0]},
    }

    assert list(rows(measured)) == [
        "| first event, ms, p50 | 20 | 1.50 | 2.50 |",
        "| first event, ms, p99 | 30 | 2.00 | 1.67 |",
        "| runs a second | 200 | 0.50 | 0.25 |",
    ]
