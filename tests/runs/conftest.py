"""Fixtures of the tests of runs that were started."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from millstream.runs.life import OPEN
from runs.starting import AsyncStarter, Starter


@pytest.fixture(autouse=True)
def nothing_is_left(no_thread_is_left: None) -> Iterator[None]:
    """Fail a test after which a run goes on, or a thread, that it has started."""
    yield
    gc.collect()
    assert not OPEN


@pytest.fixture(params=[Starter, AsyncStarter], ids=["sync", "async"])
def starter(request: pytest.FixtureRequest) -> Iterator[Starter]:
    """Give the test one way to start runs; the test runs once with each."""
    way: Starter = request.param()
    yield way
    way.close()
