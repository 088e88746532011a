"""One cluster and one executor for all tests of the folder, which `make test-ray` runs.

Without Ray there is nothing to collect here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from clusters import cluster
from millstream.executors import Executor, RayExecutor

collect_ignore_glob = [] if importlib.util.find_spec("ray") else ["test_*.py"]


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Start a cluster with two processors."""
    with cluster():
        yield


@pytest.fixture(scope="session")
def executor(ray_cluster: None) -> Iterator[RayExecutor]:
    """Give the test two workers."""
    with RayExecutor(2, num_cpus=0.5, grace=20.0, idle=300.0) as made:
        yield made


@pytest.fixture(scope="session")
def apart(executor: RayExecutor) -> Executor:
    """Give the test what tests of other executors ask for by this name."""
    return executor
