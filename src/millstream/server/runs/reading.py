"""What streams of runs and threads are read from: the log of this process, or what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from millstream.server.errors import CutError
from millstream.server.log.event_ids import START, EventId
from millstream.server.log.run_log import RunLog, RunReader, is_wanted, wanted_modes
from millstream.server.log.signal import Signal
from millstream.server.log.thread_channel import ThreadReader, framed
from millstream.server.storage import events

if TYPE_CHECKING:
    from millstream.server.log.hub import Logs
    from millstream.server.log.run_log import Entry
    from millstream.server.storage.database import Database

FORGOTTEN: Final = (
    b": what this run has said is no longer kept; its thread has what it has come to\r\n\r\n"
)
"""What those are told who come back too late: a comment, which clients pass over."""
PAGE: Final = 256
"""How many stored events are read together."""


class RunSource:
    """A run that goes on; what is no longer in memory comes from the database."""

    def __init__(self, db: Database, log: RunLog, after: int, modes: Collection[str] = ()) -> None:
        self._db = db
        self._log = log
        self._modes = wanted_modes(modes) if modes else None
        self._reader = RunReader(log, after, modes or None)
        self.signal: Final = self._reader.signal

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more."""
        return self._reader.is_over

    async def take(self) -> bytes:
        """Return frames that are there now."""
        reader = self._reader
        while True:
            if not reader.is_behind:
                frames = reader.take()
                # It may have fallen behind in this moment.
                if frames or not reader.is_behind:
                    if self._log.is_lost and reader.is_over and not frames:
                        raise CutError
                    return frames
            base = self._log.base
            if self._log.is_resumable:
                stored = await self._db.read(events.read_from, self._log.run_id, reader.seq, PAGE)
                stored = [entry for entry in stored if entry.seq <= self._log.readable]
            else:
                stored = await asyncio.to_thread(self._log.overflowed, reader.seq)
            reader.skip(stored[-1].seq if stored else base)
            if frames := _frames(stored, self._modes):
                return frames

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()


class StoredSource:
    """A run that has ended: what is stored of it after an id."""

    def __init__(
        self, db: Database, run_id: str, after: EventId, modes: Collection[str] = ()
    ) -> None:
        self.signal: Final = Signal()
        self.is_over = False
        self._db = db
        self._run_id = run_id
        self._after = after
        self._modes = wanted_modes(modes) if modes else None
        self._is_begun = False

    async def take(self) -> bytes:
        """Return the next frames; nothing at the end."""
        if not self._is_begun:
            self._is_begun = True
            # They were some: the first one says which run it is.
            if await self._db.read(events.last_of, self._run_id) == START:
                self.is_over = True
                return FORGOTTEN
        while not self.is_over:
            stored = await self._db.read(events.read, self._run_id, self._after, PAGE)
            if stored:
                self._after = stored[-1].id
            self.is_over = len(stored) < PAGE
            if frames := _frames(stored, self._modes):
                return frames
        return b""

    def close(self) -> None:
        """Stop reading."""


class FixedSource:
    """Frames that are known already."""

    def __init__(self, frames: bytes = b"") -> None:
        self.signal: Final = Signal()
        self._frames = frames

    @property
    def is_over(self) -> bool:
        """Whether they were taken."""
        return not self._frames

    async def take(self) -> bytes:
        """Return them, once."""
        frames, self._frames = self._frames, b""
        return frames

    def close(self) -> None:
        """Stop reading."""


class ThreadSource:
    """All runs of a thread, from now on or from an id on; it does not end by itself."""

    def __init__(
        self,
        db: Database,
        logs: Logs,
        thread_id: str,
        modes: Collection[str],
        after: EventId | None,
        *,
        replica: str | None = None,
    ) -> None:
        """Read a thread; `replica` is the one that does, where there are several."""
        self._db = db
        self._replica = replica
        self._logs = logs
        self._thread_id = thread_id
        # Before what is stored is read: it goes on meanwhile.
        self._reader: ThreadReader = logs.read_thread(thread_id, modes)
        self._replayed = after
        if after is not None:
            # It was read at another replica, and may come here later.
            self._reader.skip(after)
        self.signal: Final = self._reader.signal

    @property
    def is_over(self) -> bool:
        """Whether it was given up, or the server stops."""
        return self._reader.is_over and self._replayed is None

    async def take(self) -> bytes:
        """Return frames that are there now, first those that are stored."""
        while self._replayed is not None:
            after = self._replayed
            stored = await self._db.read(
                events.read_thread, self._thread_id, after, PAGE, self._replica
            )
            self._replayed = stored[-1][1].id if len(stored) == PAGE else None
            # What is held back comes to the reader later.
            shown = [entry for run_id, entry in stored if self._logs.is_shown(run_id, entry.seq)]
            if shown:
                self._reader.skip(shown[-1].id)
            wanted = [entry for entry in shown if self._reader.wants(entry.mode)]
            if wanted:
                return b"".join(map(framed, wanted))
        return self._reader.take()

    def close(self) -> None:
        """Stop reading."""
        self._logs.leave(self._thread_id, self._reader)


def _frames(entries: Sequence[Entry], modes: Collection[str] | None) -> bytes:
    return b"".join(entry.frame for entry in entries if is_wanted(entry.mode, modes))
