"""Where a run stands, and which input is allowed when.

A run is always in exactly one status, and only `RunMachine` moves it. The rules:

1. `ALLOWED` lists the one status in which each input is allowed; an ended run may be asked to
   `plan` again. Any other pair is a driver bug and raises `ProtocolError` before anything has
   changed.
2. A run alternates between READY (state is committed, nothing runs) and STEPPING (the tasks of one
   superstep are running). Only in READY may a checkpoint be taken: writes of superstep N are
   invisible until it commits (bulk-synchronous).
3. The other statuses are ends. `DONE` is the normal one. The others say why the run stopped:
   `BREAKPOINT` and `PAUSED` wait for a person, `OUT_OF_STEPS` hit the recursion limit, `DRAINED`
   was told to stop between two supersteps, `FAILED` holds the first error.

::

    CREATED --begin/resume--> READY --plan--> STEPPING --commit--> READY
                                |                |
                                |                +--commit--> PAUSED (a task asked)
                                |                +--commit--> FAILED (a task failed)
                                +--plan--> DONE | BREAKPOINT | DRAINED | OUT_OF_STEPS
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class RunStatus(Enum):
    """Where a run stands."""

    CREATED = "created"
    READY = "ready"
    STEPPING = "stepping"
    DONE = "done"
    BREAKPOINT = "breakpoint"
    PAUSED = "paused"
    DRAINED = "drained"
    OUT_OF_STEPS = "out_of_steps"
    FAILED = "failed"


# Asked for several times in every superstep: up to Python 3.11 looking up a member is slow.
READY: Final = RunStatus.READY
STEPPING: Final = RunStatus.STEPPING
DONE: Final = RunStatus.DONE

ENDED: Final = tuple(s for s in RunStatus if s not in (RunStatus.CREATED, READY, STEPPING))
"""Statuses no input leads out of. No set: the hash of a member is worked out in Python."""

ALLOWED: Final[Mapping[str, RunStatus]] = {
    "begin": RunStatus.CREATED,
    "resume": RunStatus.CREATED,
    "plan": READY,
    "call": STEPPING,
    "finish": STEPPING,
    "replay": STEPPING,
    "fail": STEPPING,
    "pause": STEPPING,
    "commit": STEPPING,
}
"""The one status in which each input of the machine is allowed."""


class ProtocolError(Exception):
    """A driver told the machine something that cannot have happened."""

    def __init__(self, received: str, status: RunStatus) -> None:
        super().__init__(received, status)  # args == parameters, so it pickles
        self.received = received
        self.status = status

    def __str__(self) -> str:
        expected = ALLOWED[self.received].value
        return (
            f"{self.received}() is allowed while the run is {expected!r}, "
            f"but it is {self.status.value!r}; this is a bug in the driver"
        )
