"""Fixtures of the tests of runs that were started."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from millstream.runs.life import OPEN
from runs.starting import IN_TIME, AsyncStarter, Starter


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test after which a run goes on, or a thread, that it has started."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert not OPEN
    for thread in set(threading.enumerate()) - before:
        thread.join(IN_TIME)  # those of sync nodes of an async run, which does not wait for them
        assert not thread.is_alive()


@pytest.fixture(params=[Starter, AsyncStarter], ids=["sync", "async"])
def starter(request: pytest.FixtureRequest) -> Iterator[Starter]:
    """Give the test one way to start runs; the test runs once with each."""
    way: Starter = request.param()
    yield way
    way.close()
