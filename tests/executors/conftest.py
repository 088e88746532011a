"""One executor for all tests of a file: its processes take a second to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from millstream.executors import ProcessExecutor


# Not for the folder, which is no package: it would be open, with its thread, to the session's end.
@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessExecutor]:
    """Give the test two worker processes."""
    with ProcessExecutor(2, grace=20.0) as made:
        yield made
