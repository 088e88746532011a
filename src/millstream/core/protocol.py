"""The boundary of the core: what a driver tells the machine, and what it gets back.

A driver talks to `machine.RunMachine` in one fixed rhythm::

    machine.begin(writes)              # or machine.resume()
    while (tasks := machine.plan()) is not None:
        for task in tasks:             # run them in any order, concurrently
            machine.finish(task)       # or machine.fail(task, error), machine.pause(task, asked)
        machine.commit()

While a task runs, its code may call others: `machine.call(task, node, input)` gives a task that
ends like any other, before the commit.

Inputs are method calls, answers are return values, and everything a consumer may watch is told to
an `Observer`. Method calls rather than message objects: a superstep makes about four of them, and
an allocated message plus its dispatch would cost more than the decision it carries.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Write: TypeAlias = tuple[str, Any]
"""One value for one channel."""

TaskPath: TypeAlias = tuple[Any, ...]
"""`(PULL, node)` for a triggered task, `(PUSH, index, False)` for the index-th Send.

`(PUSH, path, index, True)` for the index-th call of the task with that path. The path of a task
that handles a failure begins with the path of the failed one.
"""


class DrainControl(Protocol):
    """The part of a `RunControl` the core looks at."""

    drain_requested: bool
    """Whether the run must stop before its next superstep."""


@dataclass(slots=True)
class RunLimits:
    """What may stop a run from outside its graph."""

    steps: int
    """Supersteps the run may take after the hidden first one; a resumed run has no hidden one and
    may take two more."""
    before: str | Collection[str] = ()
    """Nodes to stop before; `"*"` for all."""
    after: str | Collection[str] = ()
    """Nodes to stop after; `"*"` for all."""
    control: DrainControl | None = None
