"""What `executors/test_calls.py` shows of processes holds of workers on a cluster."""

from __future__ import annotations

from cluster.shared import those_of
from executors import test_calls

# Functions that are at the top of no module go along.
REFUSED = (
    "test_a_task_that_cannot_be_sent_is_named",
    "test_a_function_that_never_gets_its_name_is_refused_when_it_is_called",
)

globals().update(those_of(test_calls, without=REFUSED))
