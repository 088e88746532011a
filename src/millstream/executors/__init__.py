"""Where nodes run: `InlineExecutor` is how they run anyway, `ProcessExecutor` has worker processes,
`RayExecutor` workers on a cluster.

`add_node(..., executor=...)` says so for one node, `compile(executor=...)` for all that do not say
so themselves. An executor of your own is a subclass of `Executor`: `submit` takes a `TaskRequest`
and returns an `Execution`, into which it puts the task's events and its `TaskOutcome`.
"""

from __future__ import annotations

from millstream.drivers.executor import Execution, Executor, TaskOutcome, TaskRequest
from millstream.errors import UnpicklableError, WorkerDiedError
from millstream.executors.inline import InlineExecutor
from millstream.executors.process import ProcessExecutor
from millstream.executors.ray import RayExecutor

__all__ = (
    "Execution",
    "Executor",
    "InlineExecutor",
    "ProcessExecutor",
    "RayExecutor",
    "TaskOutcome",
    "TaskRequest",
    "UnpicklableError",
    "WorkerDiedError",
)
