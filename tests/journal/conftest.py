"""The matrix of this package: each kind of journal with each driver."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from journal.journals import DRIVERS, LASTING, OPEN, SyncCalls
from millstream.journal import sqlite_packs


def _opened(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Any:
    kind, driver = request.param
    address = str(tmp_path / "threads.db")
    if kind == "postgres":
        address = request.getfixturevalue("postgres")
        psycopg = pytest.importorskip("psycopg")
        # All tests have one database, and the same threads.
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
    return DRIVERS[driver](kind, address)


def _matrix(kinds: Any) -> list[Any]:
    return [
        pytest.param(pair, id="-".join(pair)) for pair in itertools.product(sorted(kinds), DRIVERS)
    ]


@pytest.fixture(params=_matrix(OPEN))
def calls(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[SyncCalls]:
    """Give the test one kind of journal under one driver."""
    with _opened(request, tmp_path) as calls:
        yield calls


@pytest.fixture(params=_matrix(LASTING))
def lasting(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[SyncCalls]:
    """Give the test one kind of journal that keeps what it has, under one driver."""
    with _opened(request, tmp_path) as calls:
        yield calls


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rows packed in a SQLite file as soon as there are a few."""
    monkeypatch.setattr(sqlite_packs, "WINDOW", 3)
