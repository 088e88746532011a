"""How the owner of a run reaches it while something else drives it.

A handle knows neither the driver nor the run: both may be behind a `stream` that somebody has
replaced. But whoever replaces it passes the caller's `control` on. So the handle gives the run a
control of its own, and the driver says there how it is stopped.
"""

from __future__ import annotations

from collections.abc import Callable

from millstream.runtime import RunControl


class RunSwitch(RunControl):
    """The control of one run that has an owner.

    It drains when the control that the caller gave does, but not the other way round: that one may
    be for many runs.
    """

    __slots__ = ("_given", "_own", "_stop", "is_cancelled")

    def __init__(self, given: RunControl | None = None) -> None:
        self._given = given or RunControl()
        self._own = RunControl()
        self._stop: Callable[[], None] | None = None
        self.is_cancelled = False
        """The owner wants the run to stop now."""

    @property
    def drain_requested(self) -> bool:  # type: ignore[override]  # nobody but us sets it
        """Whether the run was asked to stop, by whomever."""
        return self._own.drain_requested or self._given.drain_requested

    @property
    def drain_reason(self) -> str | None:  # type: ignore[override]  # as above
        """The reason given."""
        return self._own.drain_reason if self._own.drain_requested else self._given.drain_reason

    def request_drain(self, reason: str = "shutdown") -> None:
        """Do what a node asks for: it knows the control as the one that the caller gave."""
        self._given.request_drain(reason)

    def drain(self, reason: str) -> None:
        """Ask this run alone to stop before its next superstep."""
        self._own.request_drain(reason)

    def cancel(self) -> None:
        """Have the run stop now; from any thread, it does not wait for that."""
        self.is_cancelled = True
        # Read after it was set, as `attach` does it the other way round: one of them notices.
        stop = self._stop
        if stop is not None:
            stop()

    @property
    def is_attached(self) -> bool:
        """Whether there is anybody who can be told to stop."""
        return self._stop is not None

    def attach(self, stop: Callable[[], None]) -> None:
        """Say how the run is stopped."""
        self._stop = stop
        if self.is_cancelled:
            stop()

    def detach(self) -> None:
        """Take note that the run has ended."""
        self._stop = None
