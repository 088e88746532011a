"""`LineWriter`: compresses lines and writes them, in a thread of its own.

The file is one stream of gzip that is flushed a quarter of a second after a line came, or when
there are many: what was flushed can be read whatever becomes of the process. Zlib lets other
threads run while it compresses, so that costs the run nothing where there is a second core.
"""

from __future__ import annotations

import logging
import threading
import zlib
from collections import deque
from typing import IO, Final

logger: Final = logging.getLogger("millstream.recording")

DELAY: Final = 0.25
"""Seconds for which lines are collected that are flushed together."""
MANY: Final = 1 << 18
"""Bytes of lines that are not collected further."""
TOO_MANY: Final = 1 << 26
"""Bytes of lines for which whoever tells more has to wait, so that memory is bounded."""
LEVEL: Final = 4
GZIP: Final = 31
"""Zlib's number for the format of gzip."""


class LineWriter:
    """Writes lines into a file until it is closed."""

    def __init__(self, file: IO[bytes], name: str, *, is_owner: bool) -> None:
        self._file = file
        self._name = name
        self._is_owner = is_owner
        self._lines: deque[bytes] = deque()
        self._size = 0
        """Bytes of lines that wait, roughly: threads may count at once, so it begins anew whenever
        there are none."""
        self._news = threading.Event()
        self._hurry = threading.Event()
        self._room = threading.Event()
        self._is_told = False
        """That there are lines is on its way to the thread."""
        self._is_closing = False
        self.error: BaseException | None = None
        """Why nothing more is written."""
        self._thread = threading.Thread(target=self._write_all, name="millstream-recording")
        # Nobody waits for it at the end of the interpreter who has not closed it before.
        self._thread.daemon = True

    def start(self) -> None:
        """Begin to write; `RuntimeError` where no thread can be started."""
        try:
            self._thread.start()
        except BaseException:
            if self._is_owner:
                self._file.close()
            raise

    def put(self, line: bytes) -> None:
        """Have a line written, from any thread."""
        self._lines.append(line)
        self._size += len(line)
        # First the line and then a look at the thread, which does it the other way round.
        if not self._is_told:
            self._is_told = True
            self._news.set()
        if self._size > MANY:
            self._hurry.set()
            if self._size > TOO_MANY:
                self._wait_for_room()

    def _wait_for_room(self) -> None:
        self._room.clear()
        while self._size > TOO_MANY and self._thread.is_alive():
            self._room.wait(DELAY)

    def stop(self) -> None:
        """Have what is there written, and the file closed, without waiting for that."""
        self._is_closing = True
        self._hurry.set()
        self._news.set()

    def close(self) -> None:
        """Write what is there and close the file."""
        self.stop()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _write_all(self) -> None:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        is_last = False
        while not is_last:
            self._news.wait()
            self._hurry.wait(DELAY)
            # Forgotten before anything is looked at: what comes later is told again.
            self._news.clear()
            self._hurry.clear()
            self._is_told = False
            is_last = self._is_closing
            self._write(compressor, zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
            self._room.set()
        if self._is_owner:
            self._file.close()

    def _write(self, compressor: zlib._Compress, how: int) -> None:
        text = b"".join([self._lines.popleft() for _ in range(len(self._lines))])
        # Not less what was taken: a thread that counts just now would put back what there was, and
        # in the end all would wait for room that there is.
        self._size = 0
        if self.error is not None:
            return
        try:
            data = memoryview(compressor.compress(text) + compressor.flush(how))
            while data:
                # A file without a buffer may take a part of it.
                data = data[self._file.write(data) or len(data) :]
        except Exception as error:
            self.error = error
            logger.error(
                "The recording %s has no more than was written until now, and the run goes on: %s",
                self._name,
                error,
            )
