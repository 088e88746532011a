"""The matrix of this package: each kind of saver with each driver."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator

import pytest

from differential.engines import CANDIDATE_ROOT, engine
from savers.backends import DRIVERS, SyncRuns

KINDS = ("memory", "sqlite", "postgres", "journal", "journal-memory", "journal-postgres")
_LONG = (
    # Differs from one that is always run in nothing but where it keeps its rows.
    *itertools.product(("journal-memory",), DRIVERS),
    # LangGraph's on PostgreSQL is always run with the other driver, and its SQLite one with both.
    ("postgres", "async"),
)
MATRIX = [
    pytest.param(pair, id="-".join(pair), marks=[pytest.mark.long] if pair in _LONG else [])
    for pair in itertools.product(KINDS, DRIVERS)
]


@pytest.fixture(params=MATRIX)
def runs(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[SyncRuns]:
    """Give the test one kind of saver under one driver.

    With DIFF_SELF=1 graphs run on langgraph, which shows that a test expects the right thing.
    """
    kind, driver = request.param
    address = str(tmp_path / "saver.sqlite")
    if kind.endswith("postgres"):
        address = request.getfixturevalue("postgres")
    with DRIVERS[driver](engine(CANDIDATE_ROOT), kind, address) as runs:
        yield runs
