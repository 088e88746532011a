"""What a new run does on a thread that has runs under way. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from millstream.server.runs.lifecycle import UNDER_WAY, RunInput, RunStatus

Strategy: TypeAlias = Literal["reject", "enqueue", "interrupt", "rollback"]
STRATEGIES: Final[tuple[Strategy, ...]] = ("reject", "enqueue", "interrupt", "rollback")
SUPERSEDING: Final[tuple[Strategy, ...]] = ("interrupt", "rollback")
"""Those for which all runs of the thread count; for the others it is whether there is one."""
BUSY: Final = (
    "Thread is already running a task. Wait for it to finish or choose a different multitask "
    "strategy."
)
"""What a client is told whose run is rejected."""


@dataclass(frozen=True, slots=True)
class Present:
    """A run that is on the thread."""

    run_id: str
    status: RunStatus
    is_queued: bool = False
    """It wants nothing but a slot, or will soon."""

    @property
    def is_ahead(self) -> bool:
        """Whether others of the thread wait for it."""
        return self.is_queued or self.status == "running"


@dataclass(frozen=True, slots=True)
class Admission:
    """What is to be done for a new run, which then starts when nothing runs on the thread."""

    is_rejected: bool = False
    """There will be no such run."""
    superseded: tuple[str, ...] = ()
    """The runs that have to give way, those that wait as well."""
    by: RunInput = "interrupted"
    """What happens to these."""


def admit(strategy: Strategy, present: Sequence[Present]) -> Admission:
    """Decide what a new run does that finds these runs on its thread."""
    active = [run for run in present if run.status in UNDER_WAY]
    if not active or strategy == "enqueue":
        return Admission()
    if strategy == "reject":
        return Admission(is_rejected=True)
    return Admission(
        superseded=tuple(run.run_id for run in active),
        by="rolled_back" if strategy == "rollback" else "interrupted",
    )
