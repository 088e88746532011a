"""What `executors/test_recorded.py` shows of processes holds of workers on a cluster."""

from __future__ import annotations

from cluster.shared import those_of
from executors import test_recorded

globals().update(those_of(test_recorded))
