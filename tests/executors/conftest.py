"""One executor for all tests of a file, and worker processes that start quickly."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest

from executors.apart import Threads
from millstream.executors import Executor, ProcessExecutor


@pytest.fixture(scope="module", autouse=True)
def quick_start() -> Iterator[None]:
    """Have worker processes forked from one in which nothing has run, with what they import.

    To start one afresh takes a second. Programs that tests of this folder run do start them so.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        yield
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["millstream.executors.worker", "executors.acting"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "millstream.executors.process.multiprocessing.get_context", lambda method=None: context
        )
        yield


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
