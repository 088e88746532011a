"""Workflows written as plain functions: `@entrypoint` makes a graph of one, `@task` its steps.

Read `workflow` first. How a call becomes a task of the run is in `core.calls` and `drivers.calls`.
"""

from __future__ import annotations

from millstream.func.step import _TaskFunction as _TaskFunction
from millstream.func.step import task
from millstream.func.workflow import entrypoint
from millstream.pregel import Pregel as Pregel

__all__ = ("entrypoint", "task")
