"""One executor for all tests of a file: its processes take a second to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from executors.apart import Threads
from millstream.executors import Executor, ProcessExecutor


# Not for the folder, which is no package: it would be open, with its thread, to the session's end.
@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessExecutor]:
    """Give the test two worker processes."""
    with ProcessExecutor(2, grace=20.0) as made:
        yield made


@pytest.fixture(scope="module", params=["thread", "process"])
def apart(request: pytest.FixtureRequest) -> Executor:
    """Give the test an executor whose tasks run apart from their run, here or in a process."""
    if request.param == "thread":
        return Threads()
    found: ProcessExecutor = request.getfixturevalue("executor")
    return found
