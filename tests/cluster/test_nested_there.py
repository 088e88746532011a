"""What `executors/test_nested.py` shows of processes holds of workers on a cluster."""

from __future__ import annotations

from cluster.shared import those_of
from executors import test_nested

globals().update(those_of(test_nested))
