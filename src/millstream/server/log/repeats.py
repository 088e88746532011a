"""What another attempt at a run says again, and need not: those before it have said so.

An attempt goes on from a checkpoint. It begins with the state that is in it, tells the results of
tasks that had ended, and repeats the supersteps whose checkpoints were not stored any more. What is
said of the state is left out where it is the same, word for word, in the same superstep; what tasks
say in their course is another attempt's, and is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from millstream.modes.names import CHECKPOINTS, DEBUG, TASKS, UPDATES, VALUES
from millstream.server import sse

if TYPE_CHECKING:
    from millstream.server.log.run_log import Entry, RunLog

STATE_MODES: Final = (VALUES, UPDATES, TASKS, CHECKPOINTS, DEBUG)
"""The modes that tell the state, and what has become of tasks."""
_CACHED: Final = b',"__metadata__":{"cached":true}}'
"""What the results of tasks end with that had ended before."""


class Repeats:
    """Writes to the log of a run that has been there before."""

    def __init__(self, log: RunLog, said: Iterable[Entry]) -> None:
        """Begin with what is stored of `STATE_MODES`, at least of the last supersteps."""
        self._log = log
        self._names: list[str | None] = []
        self._said: list[Counter[bytes]] = []
        for entry in said:
            if not self._names or self._names[-1] != entry.superstep:
                self._names.append(entry.superstep)
                self._said.append(Counter())
            self._said[-1][sse.without_id(entry.frame)] += 1
        self._held: list[tuple[str, str, bytes]] | None = []
        """What is told of the checkpoint, until it is known which superstep follows it."""
        self._place = len(self._said) - 1

    def append(self, mode: str, name: str, data: bytes) -> None:
        """Add an event to the log, unless it is there."""
        if mode not in STATE_MODES:
            self._log.append(mode, name, data)
        elif self._held is not None:
            self._held.append((mode, name, data))
        elif not self._take(mode, name, data):
            self._log.append(mode, name, data)

    def enter(self, superstep: str) -> None:
        """Take note that a superstep begins, with this task."""
        is_known = superstep in self._names
        if self._held is not None:
            if is_known:
                self._place = self._names.index(superstep) - 1
            self.release()
        # The one after it has other ids when it is repeated, and follows it all the same.
        self._place = self._names.index(superstep) if is_known else self._place + 1

    def release(self) -> None:
        """Say what was held back."""
        held, self._held = self._held, None
        for mode, name, data in held or ():
            self.append(mode, name, data)

    def _take(self, mode: str, name: str, data: bytes) -> bool:
        if not 0 <= self._place < len(self._said):
            return False
        said = self._said[self._place]
        frames = [sse.frame(name, data)]
        if mode == UPDATES and data.endswith(_CACHED):
            frames.append(sse.frame(name, data[: -len(_CACHED)] + b"}"))
        for frame in frames:
            if said[frame]:
                said[frame] -= 1
                return True
        return False
