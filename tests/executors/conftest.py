"""One executor for all tests of the folder: its processes take a second to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.executors import ProcessExecutor


@pytest.fixture(scope="package")
def executor() -> Iterator[ProcessExecutor]:
    """Give the test two worker processes."""
    with ProcessExecutor(2, grace=20.0) as made:
        yield made
