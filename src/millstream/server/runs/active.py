"""A run that is being carried out, and how it is stopped; and what stores something here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from millstream.server.runs.lifecycle import RunInput
from millstream.server.storage.attempts import TakenOverError

if TYPE_CHECKING:
    from millstream.server.log.run_log import RunLog
    from millstream.server.storage.run_records import Job

REASONS: Final[Mapping[RunInput, Mapping[str, str]]] = {
    "interrupted": {
        "error": "UserInterrupt",
        "message": "interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel",
    },
    "rolled_back": {
        "error": "UserRollback",
        "message": "rollback requested via POST /threads/{thread_id}/runs/{run_id}/cancel",
    },
    "time_up": {"error": "TimeoutError", "message": "The run took longer than a run may"},
}
"""What the thread says of a run that was stopped."""


class Change(NamedTuple):
    """Something that a replica does with a thread beside its runs, see `runs.changes`."""

    thread_id: str
    holder: str


_here: Final[ContextVar[ActiveRun | Change | None]] = ContextVar("millstream_stores", default=None)


def enter(what: ActiveRun | Change) -> None:
    """Have what follows, in this task, stored as something of a run, or of a change."""
    _here.set(what)


def change_here() -> Change | None:
    """Return the change that stores here, None if none does."""
    change = _here.get()
    return change if isinstance(change, Change) else None


def attempt_here() -> tuple[str, int] | None:
    """Return the run that stores here, and which attempt at it; None if none does."""
    active = _here.get()
    if not isinstance(active, ActiveRun) or (active.is_over and not active.is_given_up):
        # What an ended run leaves behind, tasks of its nodes say, is nobody's.
        return None
    return active.job.run_id, active.job.attempt


class ActiveRun:
    """One run of this process. All that changes belongs to the loop it runs in."""

    def __init__(self, job: Job, log: RunLog) -> None:
        self.job: Final = job
        self.log: Final = log
        self.began_at: Final = monotonic()
        self.stopped_by: RunInput | None = None
        """Why it is to stop, None if it is not."""
        self.is_over = False
        """It stores nothing more but its end."""
        self.is_given_up = False
        """Another replica has it: what is left of it here is still an attempt at it."""
        self.was_refused = False
        """Something was not stored, because another replica has it."""
        self.is_followed = job.is_followed
        """Another replica reads it."""
        self._follow: Callable[[], object] | None = None
        self._stop: Callable[[], object] | None = None
        self._kill: Callable[[], object] | None = None

    def stop(self, by: RunInput) -> None:
        """Have it stop. Who comes first says why, but for what is undone."""
        if self.stopped_by is None or by == "rolled_back":
            self.stopped_by = by
        if self._stop is not None:
            self._stop()

    def follow(self) -> None:
        """Have what it says stored for another replica that reads it."""
        self.is_followed = True
        if self._follow is not None:
            self._follow()

    def on_follow(self, follow: Callable[[], object]) -> None:
        """Say what stores it for others; at once if one reads it already."""
        self._follow = follow
        if self.is_followed:
            follow()

    def would_stop(self, by: RunInput) -> bool:
        """Say whether stopping it would change anything."""
        return self.stopped_by is None or (by == "rolled_back" and self.stopped_by != by)

    def refuse(self) -> None:
        """Have it stop, because another replica has it."""
        self.was_refused = True
        self.stop("lease_lost")

    def refuse_late(self) -> None:
        """Refuse what comes behind the end that the run has here, if it goes on elsewhere.

        Nobody is told of it, so it must not be stored: the next attempt does it, and tells of it.
        """
        if self.stopped_by == "lease_lost":
            raise TakenOverError(self.job.run_id, self.job.attempt)

    def kill(self) -> None:
        """Have it stop that was asked to stop when it can, and does not."""
        if self._kill is not None:
            self._kill()

    def end(self) -> None:
        """Take note that it stores nothing more but its end."""
        self.is_over = True

    def give_up(self) -> None:
        """Take note that it does not end here: nothing of it may be stored any more."""
        self.is_given_up = True

    def on_stop(self, stop: Callable[[], object], kill: Callable[[], object]) -> None:
        """Say how it is stopped from now on; at once if it is to stop already."""
        self._stop, self._kill = stop, kill
        if self.stopped_by is not None:
            stop()
