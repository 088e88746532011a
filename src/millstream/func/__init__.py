"""Workflows written as plain functions: `@entrypoint` makes a graph of one, `@task` its steps.

How a call becomes a task of the run is in `core.calls` and `drivers.task_calls`.
"""

from __future__ import annotations

from millstream.func._entrypoint import entrypoint
from millstream.func._task import _TaskFunction as _TaskFunction
from millstream.func._task import task
from millstream.pregel import Pregel as Pregel

__all__ = ("entrypoint", "task")
