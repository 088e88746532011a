"""Where a run stands, and which input is allowed when.

A run is a small automaton. Its inputs are the methods of `RunMachine` that a driver calls, its
statuses are those of `RunStatus`, and `TRANSITIONS` says to which of them an input may lead::

    CREATED  --begin, resume----------------------> READY
    READY    --plan-------------------------------> STEPPING
                                                `-> DONE, BREAKPOINT, DRAINED, OUT_OF_STEPS
    STEPPING --call, finish, replay, fail, pause--> STEPPING
    STEPPING --commit-----------------------------> READY
                                                `-> BREAKPOINT, PAUSED, FAILED

A test draws this from the table and compares. The rules:

1. A run is always in exactly one status, and only `RunMachine` moves it. Whatever a driver, a saver
   or a consumer wants to know of where the run stands, it reads from `status`.
2. An input is allowed in the one status under which the table lists it. Any other pair is a bug in
   the driver and raises `ProtocolError` before anything has changed. A run does not guess what a
   driver may have meant: what it guessed would be stored.
3. A run alternates between READY (state is committed, nothing runs) and STEPPING (the tasks of one
   superstep are running). Checkpoints are made on the way into READY and nowhere else, so that
   each holds whole supersteps: writes of superstep N are invisible until it commits
   (bulk-synchronous).
4. In STEPPING the order of inputs is the order in which tasks happened to end. No status depends on
   it, and `commit` alone leads out: a failure, a question or a command that leaves the graph is
   noted when it comes, and means something when the superstep is over.
5. The other statuses are ends, and no input leads out of them: an ended run may be asked to `plan`
   again, and says again that there is nothing to run. `DONE` is the normal end. The others say why
   the run stopped: `BREAKPOINT` and `PAUSED` wait for a person, `OUT_OF_STEPS` hit the recursion
   limit, `DRAINED` was told to stop between two supersteps, `FAILED` holds the first error.
6. Where several statuses may follow, the first of these that is true decides. `plan`: the superstep
   before ended at a breakpoint (`BREAKPOINT`), no step is left (`OUT_OF_STEPS`), no task is due
   (`DONE`), one that is due has a breakpoint (`BREAKPOINT`), somebody asked the run to stop
   (`DRAINED`); else `STEPPING`. `commit`: a task failed or a command leaves the graph (`FAILED`),
   a task asked (`PAUSED`), a nested graph stopped at a breakpoint (`BREAKPOINT`); else `READY`.
7. An input that raises leaves the status as it was, with one exception: when a channel refuses what
   `commit` gives it, others have taken theirs, and the run is `FAILED`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

BREAKPOINT: Final = RunStatus.BREAKPOINT
STAYS: Final = (STEPPING,)

TRANSITIONS: Final[Mapping[RunStatus, Mapping[str, Sequence[RunStatus]]]] = {
    RunStatus.CREATED: {"begin": (READY,), "resume": (READY,)},
    READY: {"plan": (STEPPING, DONE, BREAKPOINT, RunStatus.DRAINED, RunStatus.OUT_OF_STEPS)},
    STEPPING: {
        "call": STAYS,
        "finish": STAYS,
        "replay": STAYS,
        "fail": STAYS,
        "pause": STAYS,
        "commit": (READY, BREAKPOINT, RunStatus.PAUSED, RunStatus.FAILED),
    },
}
"""Status -> the inputs that are allowed in it, and where each may lead."""

ALLOWED: Final[Mapping[str, RunStatus]] = {
    received: status for status, inputs in TRANSITIONS.items() for received in inputs
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
