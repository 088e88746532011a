"""Fixtures of the run stream tests."""

from __future__ import annotations

import pytest

from stream.reading import AsyncReader, Reader


@pytest.fixture(params=[Reader, AsyncReader], ids=["sync", "async"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Give the test one way to read; the test runs once with each."""
    way: Reader = request.param()
    return way


@pytest.fixture(autouse=True)
def _no_thread_is_left(no_thread_is_left: None) -> None:
    """Ask it of every test of this folder."""
