"""What `executors/test_failing.py` shows of processes holds of workers on a cluster."""

from __future__ import annotations

from cluster.shared import those_of
from executors import test_failing

# Nobody tells what a process on a cluster has died of.
TOLD = "test_a_worker_that_dies_is_an_error_that_names_the_node"

globals().update(those_of(test_failing, without=(TOLD,)))
