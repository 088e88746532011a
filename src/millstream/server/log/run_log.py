"""`RunLog`: what one run says, each event encoded once, for any number of readers.

Any thread appends, one at a time; readers are in others. A reader is the place it has come to; what
all readers have passed is let go, and where a log is stored, what is stored as well: a reader that
needs it gets it from there. What is not stored and a reader is far from goes to a file until it has
been read. So memory does not grow with the length of a run.

Readers lock nothing. Only who appends changes the list of events, and never shortens one: it makes
a new one, and readers take whichever they find.

A log that is stored shows what is stored, and true: see `holds`.
"""

from __future__ import annotations

import logging
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from millstream.server import sse
from millstream.server.clock import Clock
from millstream.server.errors import EventTooLargeError
from millstream.server.log.event_ids import EventId, format_id
from millstream.server.log.holds import Hold, Holds
from millstream.server.log.overflow import Overflow
from millstream.server.log.signal import Signal

logger = logging.getLogger("millstream.server")

METADATA: Final = "metadata"
"""The mode of events about the run itself."""
ERROR: Final = "error"
"""The mode of the event that says why a run failed; nobody can leave it out."""
COMMAND: Final = "command"
"""The mode of the event that is a command for the graph around, which is the caller's."""
PROTOCOL: Final = "v3:"
"""What the modes of protocol events begin with, which only those read who ask for them; see
`server.v3`."""
BATCH_BYTES: Final = 256 * 1024
"""How much a reader takes at once."""
KEPT_EVENTS: Final = 1024
KEPT_BYTES: Final = 4 * 1024 * 1024
"""How much comes in before the log looks what it can let go."""
HELD_EVENTS: Final = 32 * 1024
HELD_BYTES: Final = 16 * 1024 * 1024
"""How much may wait in memory for the slowest reader."""


class Entry(NamedTuple):
    """An event in the log."""

    seq: int
    ms: int
    mode: str
    frame: bytes
    needs: str | None = None
    """What has to be stored of the run for it to count, see `holds`; only where it is stored."""

    @property
    def id(self) -> EventId:
        """Its place in the log and in the thread."""
        return self.ms, self.seq


class Follower(Protocol):
    """Who is given each event as it comes."""

    def follow(self, entry: Entry) -> None:
        """Take an event; from the thread that appends."""


class Reader(Protocol):
    """Who reads a log, and is told when there is something."""

    @property
    def signal(self) -> Signal:
        """What is rung when there may be something."""

    @property
    def seq(self) -> int:
        """The place it has come to."""


class RunLog:
    """The log of one run."""

    def __init__(
        self,
        run_id: str,
        *,
        is_resumable: bool = False,
        last: EventId = (0, 0),
        most_bytes: int = sys.maxsize,
        uses_files: bool = True,
        clock: Clock | None = None,
    ) -> None:
        """Begin after `last`, which is what is stored of a run that is taken up again.

        An event has `most_bytes` at most, but for the one that says why a run failed. With
        `uses_files`, what slow readers have not come to goes to a file, where it is not stored.
        """
        self.run_id: Final = run_id
        self.is_resumable: Final = is_resumable
        """Frames have ids, and are stored."""
        self.clock: Final = clock or Clock()
        """What tells when something is said."""
        self.is_closed = False
        self.is_lost = False
        """It has not ended: it goes on at another replica, and cannot be read on here."""
        self.last = last[1]
        """The `seq` of the last event."""
        self.ms = last[0]
        """The time of the last event."""
        self.first_ms = 0
        """The time of the first event behind the one that tells which run it is."""
        self.stored = last[1]
        """The `seq` of the last event that is stored; of a log that is not, it means nothing."""
        self.shown = last[1]
        """The `seq` of the last event that may be read, where a log is stored."""
        self.follower: Follower | None = None
        """The thread, where somebody reads that."""
        self.sink: Callable[[Entry], None] | None = None
        """What stores the events."""
        self.on_shown: Callable[[], None] | None = None
        """What is told when more of what is stored may be read."""
        self.lock: Final = threading.RLock()
        """Held by whoever changes something."""
        self.holds: Final = Holds(self.lock, self._show, self._hand_over)
        self._is_left = False
        """What is said here comes from what an attempt has left behind, and is nobody's."""
        self._untold: list[tuple[Entry, Hold | None]] = []
        """What waits to be stored until it is known what it needs, and of which hold it tells."""
        self._window: tuple[int, list[Entry]] = (last[1], [])
        """The events that are here, and the `seq` before the first of them."""
        self._readers: tuple[Reader, ...] = ()
        self.protocol_seq = 0
        """The number of the last protocol event of the thread, as far as it is known here."""
        self._most_bytes: Final = most_bytes
        self._uses_files = uses_files
        self._unseen_events = 0
        self._unseen_bytes = 0
        self._held_bytes = 0
        """How much is in the window, as of the last time that the log looked."""
        self._overflow: Overflow | None = None

    def append(self, mode: str, name: str, data: bytes) -> Entry:
        """Add an event of a mode, with its name and data on the wire."""
        frame = sse.frame(name, data)
        with self.lock:
            id = self._next_id()
            if self.is_resumable:
                frame = sse.with_id(frame, format_id(id))
            return self._add(id, mode, frame)

    def append_frame(self, mode: str, make: Callable[[EventId], bytes]) -> Entry:
        """Add an event whose frame is made when its id is known."""
        with self.lock:
            id = self._next_id()
            return self._add(id, mode, make(id))

    def hold(self) -> Hold:
        """Hold back what is said from now on, until it is let go."""
        with self.lock:
            return self.holds.add(self.last)

    def go_on_after(self, ms: int) -> None:
        """Say everything from now on later than at a time, in milliseconds since 1970."""
        with self.lock:
            self.ms = max(self.ms, ms + 1)

    def _next_id(self) -> EventId:
        ms = self.clock.ms()
        if ms < self.ms:  # the clock was set back
            ms = self.ms
        self.ms = ms
        return ms, self.last + 1

    def _add(self, id: EventId, mode: str, frame: bytes) -> Entry:
        ms, seq = id
        if len(frame) > self._most_bytes and mode != ERROR:
            raise EventTooLargeError(mode, len(frame), self._most_bytes)
        holds = self.holds
        entry = Entry(seq, ms, mode, frame, holds.needs)
        if self._is_left:
            return entry
        self._window[1].append(entry)
        if seq == 2:
            self.first_ms = entry.ms
        self.last = seq
        if not self.is_resumable:
            for reader in self._readers:
                reader.signal.ring()
            if self.follower is not None:
                self.follower.follow(entry)
        if self.sink is not None:
            if holds.open:
                self._untold.append((entry, holds.own))
            else:
                self.sink(entry)
        self._count(frame)
        return entry

    def _count(self, frame: bytes) -> None:
        self._unseen_events += 1
        self._unseen_bytes += len(frame)
        if self._unseen_events >= KEPT_EVENTS or self._unseen_bytes >= KEPT_BYTES:
            self._let_go()

    def take(self, entries: Iterable[Entry]) -> None:
        """Take events that another process has said, which are stored and may be read."""
        with self.lock:
            for entry in entries:
                if entry.seq <= self.last:
                    continue
                if entry.seq != self.last + 1:
                    # What is missing could not be stored: it is nowhere.
                    self._window = (entry.seq - 1, [])
                    self._held_bytes = self._unseen_bytes = 0
                self._window[1].append(entry)
                self.last, self.ms = entry.seq, max(self.ms, entry.ms)
                self.stored = self.shown = entry.seq
                if self.follower is not None:
                    self.follower.follow(entry)
                self._count(entry.frame)
            for reader in self._readers:
                reader.signal.ring()

    def _hand_over(self) -> None:
        """Have events stored, each with what it needs."""
        entries, self._untold = self._untold, []
        if self.sink is not None:
            for entry, own in entries:
                self.sink(entry._replace(needs=self.holds.needs_of(entry.seq, own)))

    def cut(self) -> bool:
        """Forget what is held back, and take nothing more; say whether there was anything.

        Another attempt goes on from there. What waited for it to be known what it needs is nowhere
        else, and tells of nothing that is stored.
        """
        with self.lock:
            self._is_left = True
            self._untold.clear()
            limit = self.holds.drop()
            if limit is not None:
                self._shorten(limit)
            return limit is not None

    def go_back(self) -> None:
        """Forget what may not be read: another process has the run, and says something else."""
        with self.lock:
            self._is_left = True
            self._shorten(self.shown)

    def _shorten(self, last: int) -> None:
        base, entries = self._window
        self.last, self.stored = last, min(self.stored, last)
        self._window = (base, entries[: max(0, last - base)])

    def go_on(self) -> None:
        """Take what is said here again: the run goes on in this process."""
        self._is_left = False

    def reveal(self, seq: int) -> None:
        """Have events read up to this one, which is stored, as far as they are not held back.

        What nobody has read can be said otherwise by another attempt at the run.
        """
        with self.lock:
            # What was stored and is forgotten since is not there any more.
            self.stored = max(self.stored, min(seq, self.last))
            if self.is_resumable:
                self._show()

    def _show(self) -> None:
        limit = self.holds.limit
        end = self.stored if limit is None else min(self.stored, limit)
        if end <= self.shown:
            return
        if self.follower is not None:
            for entry in self.since(self.shown):
                if entry.seq <= end:
                    self.follower.follow(entry)
        self.shown = end
        for reader in self._readers:
            reader.signal.ring()
        if self.on_shown is not None:
            self.on_shown()

    def close(self) -> None:
        """End the log: readers come to their end when they have read everything."""
        self.is_closed = True
        for reader in self._readers:
            reader.signal.ring()
        self._close_overflow()

    def since(self, seq: int) -> Sequence[Entry]:
        """Return the events after `seq` that are here."""
        base, entries = self._window
        return entries[max(0, seq - base) :]

    def after(self, seq: int, limit: int) -> Sequence[Entry] | None:
        """Return the first events after `seq` to read, None if some are no longer here."""
        base, entries = self._window
        end = min(seq - base + limit, self._readable(base, entries))
        return None if seq < base else entries[seq - base : max(end, seq - base)]

    def _readable(self, base: int, entries: list[Entry]) -> int:
        """Return how many of these events may be read."""
        return min(len(entries), self.shown - base) if self.is_resumable else len(entries)

    def seq_of(self, id: EventId) -> int | None:
        """Return the `seq` of the last event up to this id; None if that is no longer here."""
        base, entries = self._window
        place = bisect_right(entries, id, key=_id_of)
        if place == 0 and base > 0:
            return None
        return base + place

    @property
    def readable(self) -> int:
        """The `seq` of the last event that may be read."""
        return min(self.last, self.shown) if self.is_resumable else self.last

    @property
    def base(self) -> int:
        """The `seq` before the first event that is here."""
        return self._window[0]

    @property
    def has_readers(self) -> bool:
        """Whether anybody reads it."""
        return bool(self._readers)

    def subscribe(self, reader: Reader) -> None:
        """Have a reader told of what comes."""
        self._readers = (*self._readers, reader)

    def unsubscribe(self, reader: Reader) -> None:
        """Let a reader go."""
        self._readers = tuple(each for each in self._readers if each is not reader)
        self._close_overflow()

    def overflowed(self, seq: int) -> list[Entry]:
        """Return the first events after `seq` that are in a file, some of them; it is read."""
        overflow = self._overflow
        return [] if overflow is None else [Entry(*each) for each in overflow.after(seq)]

    def _let_go(self) -> None:
        self._held_bytes += self._unseen_bytes
        self._unseen_events = self._unseen_bytes = 0
        seen = min((reader.seq for reader in self._readers), default=self.last)
        if self.is_resumable:
            # Nobody has to read it from here, but what is not stored is nowhere else.
            seen = min(max(seen, self.last - KEPT_EVENTS), self.shown)
        base, entries = self._window
        if seen > base:
            self._held_bytes -= sum(len(entry.frame) for entry in entries[: seen - base])
            entries = entries[seen - base :]
            self._window = (seen, entries)
        is_much = len(entries) > HELD_EVENTS or self._held_bytes > HELD_BYTES
        if is_much and self._uses_files and not self.is_resumable:
            self._spill(entries)

    def _spill(self, entries: list[Entry]) -> None:
        overflow = self._overflow = self._overflow or Overflow()
        try:
            overflow.add([entry[:4] for entry in entries], BATCH_BYTES)
        except OSError as error:
            # There is memory, as long as there is.
            self._uses_files = False
            logger.error(
                "run %s has slow readers, and what it says cannot be kept in a file",
                self.run_id,
                exc_info=error,
            )
        else:
            self._window = (entries[-1].seq, [])
            self._held_bytes = 0

    def _close_overflow(self) -> None:
        if self._overflow is not None and self.is_closed and not self._readers:
            self._overflow.close()


def _id_of(entry: Entry) -> EventId:
    return entry.ms, entry.seq


class RunReader:
    """One reader of a log, in a task of its own."""

    def __init__(self, log: RunLog, after: int, modes: Collection[str] | None = None) -> None:
        """Read what follows `after`, of some modes or all."""
        self.signal: Final = Signal()
        self.seq = after
        """The place it has come to."""
        self._log = log
        self._modes = None if modes is None else wanted_modes(modes)
        log.subscribe(self)

    @property
    def is_over(self) -> bool:
        """Whether there will be nothing more."""
        return self._log.is_closed and self.seq >= self._log.readable

    @property
    def is_behind(self) -> bool:
        """Whether what comes next is no longer in memory."""
        return self.seq < self._log.base

    def skip(self, seq: int) -> None:
        """Go on after `seq`: what is before was read elsewhere."""
        self.seq = max(self.seq, seq)

    def take(self) -> bytes:
        """Return the frames that are there now, as many as are sent together."""
        base, entries = self._log._window
        if self.seq < base:  # since it was asked for
            return b""
        start = self.seq - base
        modes = self._modes
        frames: list[bytes] = []
        size = 0
        # The list may grow meanwhile: what comes now is for the next time.
        for place in range(start, self._log._readable(base, entries)):
            entry = entries[place]
            self.seq = entry.seq
            if is_wanted(entry.mode, modes):
                frames.append(entry.frame)
                size += len(entry.frame)
                if size >= BATCH_BYTES:
                    break
        return b"".join(frames)

    def close(self) -> None:
        """Stop reading."""
        self._log.unsubscribe(self)


def is_wanted(mode: str, modes: Collection[str] | None) -> bool:
    """Say whether a reader of some modes, or of all but those of the protocol, wants an event."""
    return not mode.startswith(PROTOCOL) if modes is None else mode in modes


def wanted_modes(modes: Collection[str]) -> frozenset[str]:
    """Return the modes of entries that a reader wants who asks for these stream modes."""
    wanted = {*modes, ERROR, COMMAND}
    if "messages" in wanted:
        wanted.add("messages-tuple")
    return frozenset(wanted)
