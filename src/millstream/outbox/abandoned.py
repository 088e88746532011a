"""That nobody waits for a run any more."""

from __future__ import annotations

from asyncio import CancelledError


class RunAbandoned(BaseException):
    """Nobody waits for this run any more, or for the one around it: it stops."""


def as_traced(error: BaseException) -> BaseException:
    """Return what callback handlers are told of an error: of ours, that it is a cancellation."""
    return CancelledError(*error.args) if isinstance(error, RunAbandoned) else error
