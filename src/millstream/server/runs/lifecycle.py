"""The life of a run as a table: what becomes of a status, whatever happens. No I/O.

`pending -> running -> success | error | timeout | interrupted`, and `deleted` for one that leaves
no trace. Ends are never left: whoever comes too late (a cancel that meets a run that has just
ended) is told so by `None`, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

RunStatus: TypeAlias = Literal[
    "pending", "running", "success", "error", "timeout", "interrupted", "deleted"
]
ThreadStatus: TypeAlias = Literal["idle", "busy", "interrupted", "error"]
RunInput: TypeAlias = Literal[
    "claimed", "lease_lost", "finished", "failed", "time_up", "interrupted", "rolled_back"
]
"""What happens to a run.

- `claimed`: somebody has begun to carry it out.
- `lease_lost`: whoever carried it out is gone; it goes on from its last checkpoint.
- `finished`: the graph has come to its end, or to a question.
- `failed`: it raised.
- `time_up`: it took longer than a run may.
- `interrupted`: it was cancelled, by a client or for a newer run; what it has done is kept.
- `rolled_back`: it was cancelled, and what it has done is undone.
"""

STATUSES: Final[tuple[RunStatus, ...]] = (
    "pending",
    "running",
    "success",
    "error",
    "timeout",
    "interrupted",
    "deleted",
)
INPUTS: Final[tuple[RunInput, ...]] = (
    "claimed",
    "lease_lost",
    "finished",
    "failed",
    "time_up",
    "interrupted",
    "rolled_back",
)
UNDER_WAY: Final[tuple[RunStatus, ...]] = ("pending", "running")
"""The statuses that are no ends."""

TRANSITIONS: Final[Mapping[tuple[RunStatus, RunInput], RunStatus]] = {
    ("pending", "claimed"): "running",
    # A run whose graph cannot be opened has never begun.
    ("pending", "failed"): "error",
    ("pending", "interrupted"): "interrupted",
    ("pending", "rolled_back"): "deleted",
    ("running", "lease_lost"): "pending",
    ("running", "finished"): "success",
    ("running", "failed"): "error",
    ("running", "time_up"): "timeout",
    ("running", "interrupted"): "interrupted",
    ("running", "rolled_back"): "deleted",
}
"""What is not here changes nothing."""


def status_after(status: RunStatus, input: RunInput) -> RunStatus | None:
    """Return the status that follows, None if it is too late or too early for that."""
    return TRANSITIONS.get((status, input))


def thread_status_after(status: RunStatus, *, is_asking: bool) -> ThreadStatus:
    """Return how an otherwise idle thread stands after a run has ended with `status`.

    `is_asking` says that the graph has stopped at a question or a breakpoint: for the run that is a
    success, the thread waits for a person.
    """
    if status == "success":
        return "interrupted" if is_asking else "idle"
    if status in ("error", "timeout"):
        return "error"
    # One that was rolled back leaves the thread as it was.
    if status == "interrupted" or is_asking:
        return "interrupted"
    return "idle"
