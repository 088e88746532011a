"""Fixtures of the run stream tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from stream.reading import AsyncReader, Reader


@pytest.fixture(params=[Reader, AsyncReader], ids=["sync", "async"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Give the test one way to read; the test runs once with each."""
    way: Reader = request.param()
    return way


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test after which a thread still runs that it has started."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
