"""What all runs of a thread say, one after the other, for readers that stay."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from millstream.server import sse
from millstream.server.log.event_ids import START, EventId, format_id
from millstream.server.log.run_log import BATCH_BYTES, METADATA, PROTOCOL, Entry
from millstream.server.log.signal import Signal

RUN_MODES: Final = "run_modes"
LIFECYCLE: Final = "lifecycle"
STATE_UPDATE: Final = "state_update"
THREAD_MODES: Final = (RUN_MODES, LIFECYCLE, STATE_UPDATE)
"""What readers of a thread can ask for: all that runs say; that they begin and end; that the state
was changed without a run."""
MAX_BACKLOG: Final = 64 * 1024 * 1024
"""How many bytes may wait for a reader before it is let go; it comes back with its last id."""


class ThreadChannel:
    """Hands what the runs of a thread say to whoever reads the thread."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id: Final = thread_id
        self._readers: tuple[ThreadReader, ...] = ()

    @property
    def has_readers(self) -> bool:
        """Whether anybody reads it."""
        return bool(self._readers)

    def follow(self, entry: Entry) -> None:
        """Take an event of a run of the thread, or about the thread."""
        for reader in self._readers:
            reader.give(entry)

    def end(self) -> None:
        """Have all readers come to their end."""
        for reader in self._readers:
            reader.is_over = True
            reader.signal.ring()

    def subscribe(self, reader: ThreadReader) -> None:
        """Have a reader given what comes."""
        self._readers = (*self._readers, reader)

    def unsubscribe(self, reader: ThreadReader) -> None:
        """Let a reader go."""
        self._readers = tuple(each for each in self._readers if each is not reader)


class ThreadReader:
    """One reader of a thread, in a task of its own."""

    def __init__(
        self, channel: ThreadChannel, modes: Collection[str] = (), after: EventId = START
    ) -> None:
        """Read the modes of `THREAD_MODES` that are given, or else what runs say, after an id."""
        self.signal: Final = Signal()
        self._channel = channel
        self._modes = frozenset(modes) or frozenset((RUN_MODES,))
        self._after = after
        self._waiting: deque[Entry] = deque()
        self._backlog = 0
        self.is_over = False
        """It was too slow."""
        channel.subscribe(self)

    def wants(self, mode: str) -> bool:
        """Say whether events of this mode are read."""
        if mode == STATE_UPDATE:
            return STATE_UPDATE in self._modes
        if RUN_MODES in self._modes:
            return not mode.startswith(PROTOCOL)
        return mode == METADATA and LIFECYCLE in self._modes

    def give(self, entry: Entry) -> None:
        """Take an event; from any thread."""
        if self.is_over or not self.wants(entry.mode):
            return
        self._waiting.append(entry)
        self._backlog += len(entry.frame)
        if self._backlog > MAX_BACKLOG:
            self.is_over = True
        self.signal.ring()

    def skip(self, id: EventId) -> None:
        """Leave out what is not after this id: it was read elsewhere."""
        self._after = max(self._after, id)

    def take(self) -> bytes:
        """Return the frames that are there now, as many as are sent together."""
        frames: list[bytes] = []
        size = 0
        while self._waiting and size < BATCH_BYTES:
            entry = self._waiting.popleft()
            self._backlog -= len(entry.frame)
            if (entry.ms, entry.seq) > self._after:
                frames.append(framed(entry))
                size += len(frames[-1])
        if not self._waiting:
            # A thread that gives just now may have put back what there was before. That must not
            # add up: the reader would be let go in the end, however quick it is.
            self._backlog = 0
        return b"".join(frames)

    def close(self) -> None:
        """Stop reading."""
        self.is_over = True
        self._channel.unsubscribe(self)


def framed(entry: Entry) -> bytes:
    """Return an event as readers of threads get it: with its id, also that of a run without."""
    if sse.without_id(entry.frame) is not entry.frame:
        return entry.frame
    return sse.with_id(entry.frame, format_id(entry.id))
