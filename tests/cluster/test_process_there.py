"""What `executors/test_process.py` shows of processes holds of workers on a cluster."""

from __future__ import annotations

from cluster.shared import those_of
from executors import test_process

globals().update(those_of(test_process))
