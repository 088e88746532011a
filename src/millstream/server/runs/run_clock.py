"""The time of runs: what they store has that of the server, whichever replica they are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream._base import clock

if TYPE_CHECKING:
    from millstream.server.clock import Clock


class RunClock(clock.Clock):
    """Where runs have the time from; how long something takes is measured as anywhere."""

    __slots__ = ("_server",)

    def __init__(self, server: Clock) -> None:
        self._server = server

    def timestamp(self) -> float:
        """Return the seconds since 1970, UTC."""
        return self._server.seconds()

    def nanos(self) -> int:
        """Return the nanoseconds since 1970, UTC."""
        return int(self._server.seconds() * 1e9)
