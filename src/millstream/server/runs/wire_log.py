"""`WireLog`: the engine's log of a run, which writes everything to the wire and keeps nothing.

The engine gives it all that the run says before it gives what that tells of to the saver. So what
is stored of a run has been said, and what was said of anything that is not stored yet is held back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream.modes.event import Event
from millstream.runs.bell import Bell
from millstream.runs.log import EventReader

if TYPE_CHECKING:
    from millstream.modes.parts import Namespace
    from millstream.outbox.write_ahead import Place, Promise
    from millstream.server.log.repeats import Repeats
    from millstream.server.log.run_log import RunLog
    from millstream.server.log.storing import Storing


class _NoPromise:
    """A promise in a log that nobody stores: what is said may be read at once."""

    def bind(self, place: Place) -> None:
        """Take note of nothing."""

    def keep(self) -> None:
        """Take note of nothing."""


NO_PROMISE: Final = _NoPromise()


class WireLog:
    """The log of one run of the engine."""

    def __init__(
        self,
        log: RunLog,
        write: Callable[[Any], None],
        storing: Storing | None,
        repeats: Sequence[Repeats] = (),
        refuse_late: Callable[[], None] = lambda: None,
    ) -> None:
        """Have items written; `storing` has what is written of a resumable run.

        `refuse_late` raises if what is stored behind the end of the log has not been told.
        """
        self.error: BaseException | None = None
        self.is_closed = False
        self.bell: Final = Bell()
        self.fault: Exception | None = None
        """What went wrong in writing."""
        self.on_fault: Callable[[], object] = _nothing
        """Stop the run, of which something cannot be written; from any thread."""
        self._log = log
        self._write = write
        self._storing = storing
        self._repeats = repeats
        self._refuse_late = refuse_late
        self._lock = threading.Lock()
        """Held while an item is written: several threads may tell something."""

    def append(self, item: Any) -> Any:
        """Write an item, which gets no place here; nothing any more that comes after the end."""
        with self._lock:
            if self.is_closed or self.fault is not None:
                return
            try:
                self._write(item)
            except Exception as error:
                self.fault = error
                self.on_fault()

    def promise(self) -> Promise:
        """Hold back what follows until what it tells of is stored."""
        if self._storing is None or self.is_closed:
            return NO_PROMISE
        return self._log.hold()

    def go_on(self, namespace: Namespace, metadata: Mapping[str, Any]) -> None:
        """Have the state left out that a graph begins with, if the run has made it."""
        if metadata.get("run_id") == self._log.run_id:
            for each in self._repeats:
                each.go_on(namespace)

    def flush(self) -> None:
        """Wait until everything is stored that was said before."""
        if self._storing is not None:
            self._check_late()
            self._storing.wait()

    async def aflush(self) -> None:
        """Wait until everything is stored that was said before."""
        if self._storing is not None:
            self._check_late()
            await self._storing.stored()

    def _check_late(self) -> None:
        if self.is_closed:
            self._refuse_late()

    def read(self, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        """Return nothing: what runs say is read from the server's own log."""
        return ()

    def subscribe(self, after: int = 0) -> EventReader:
        """Return a reader of nothing."""
        return EventReader(self, after)

    def close(self, error: BaseException | None = None) -> None:
        """End the log."""
        with self._lock:
            self.error = error
            self.is_closed = True
        # It knows the handle, which knows the log: they go now, not when garbage is looked for.
        self.on_fault = _nothing
        self.bell.ring()


def _nothing() -> None:
    """Do nothing."""
