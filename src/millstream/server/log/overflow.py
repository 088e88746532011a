"""What slow readers of a run have not come to, in a file without a name, so that memory is not."""

from __future__ import annotations

import marshal
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Sequence
from typing import IO, TypeAlias

Stored: TypeAlias = tuple[int, int, str, bytes]
"""An event: its `seq`, its time, its mode and its frame."""


class Overflow:
    """Events in their order, added by one thread and read by others."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._lasts: list[int] = []
        """The `seq` of the last event of each block in the file."""
        self._places: list[tuple[int, int]] = []
        """Where each block begins, and how long it is."""
        self._end = 0

    def add(self, events: Sequence[Stored], block: int) -> None:
        """Add events, in blocks of about so many bytes; `OSError` if there is no space."""
        waiting: list[Stored] = []
        size = 0
        for event in events:
            waiting.append(event)
            size += len(event[3])
            if size >= block:
                self._write(waiting)
                waiting, size = [], 0
        if waiting:
            self._write(waiting)

    def _write(self, events: list[Stored]) -> None:
        text = marshal.dumps(events)
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="millstream-")  # noqa: SIM115
            self._file.seek(self._end)
            self._file.write(text)
            self._file.flush()
        self._places.append((self._end, len(text)))
        self._end += len(text)
        # Last: who finds it here finds the rest.
        self._lasts.append(events[-1][0])

    def after(self, seq: int) -> list[Stored]:
        """Return the first block of events after `seq`, nothing if there are none."""
        block = bisect_right(self._lasts, seq)
        if block == len(self._lasts):
            return []
        start, size = self._places[block]
        with self._lock:
            if self._file is None:
                return []
            self._file.seek(start)
            events: list[Stored] = marshal.loads(self._file.read(size))
        return [event for event in events if event[0] > seq]

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
