"""What programs print while a picture is at the bottom of their terminal."""

from __future__ import annotations

import codecs
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from typing import Any, Final

from millstream._base.texts import visible

_LONGEST: Final = 4000
"""A line of more characters is told of in parts. Progress bars make one that goes on and on."""


class Printed(io.TextIOBase):
    """A text stream whose lines go above the picture.

    What a terminal would obey is left to who is told of a line. That is so for a return to the
    start of the line, too: it would hide what stands before it.
    """

    def __init__(self, tell: Callable[[str], None], real: Any) -> None:
        self._tell = tell
        self._real = real
        self._line = ""
        self._lock = threading.RLock()
        """Guards the line: nodes print in threads."""
        self.buffer = _Bytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # it has no setter
        """What bytes are decoded with."""
        return "utf-8"

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def fileno(self) -> int:
        """Return the file behind it, for who starts processes."""
        number: int = self._real.fileno()
        return number

    def write(self, text: str) -> int:
        """Take text; tell of the lines that end in it."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            *lines, rest = (self._line + text).replace("\r\n", "\n").split("\n")
            # What ends with a return may be followed by a newline yet.
            self._line = rest
        # Without the lock: who is told may wait for a thread that prints.
        for line in lines:
            self._tell(line)
        if len(rest) > _LONGEST:
            self.end()
        return len(text)

    def end(self) -> None:
        """Tell of a line that has not ended."""
        with self._lock:
            line, self._line = self._line, ""
        if line:
            self._tell(line)


class _Bytes(io.RawIOBase):
    """What is beneath a `Printed`, for programs that write bytes."""

    def __init__(self, text: Printed) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes."""
        self._text.write(self._decoder.decode(bytes(data)))
        return len(data)


@contextmanager
def taken(tell: Callable[[str], None]) -> Iterator[None]:
    """Have `tell` called with each line that is printed, to stderr too where that is a terminal.

    Programs are told `NO_COLOR`: their codes would be shown.
    """
    with ExitStack() as stack:
        for name, redirect in (("stdout", redirect_stdout), ("stderr", redirect_stderr)):
            real: Any = getattr(sys, name)
            if real is not None and real.isatty():
                stream: Any = Printed(tell, real)
                stack.enter_context(redirect(stream))
                stack.callback(stream.end)
                stack.enter_context(_without_colours())
        yield


def guarded() -> AbstractContextManager[None]:
    """Have what is printed to a terminal shown there line by line, without what it would obey."""
    real = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else sys.stdout

    def tell(line: str) -> None:
        real.write(f"{visible(line)}\n")
        real.flush()

    return taken(tell)


@contextmanager
def _without_colours() -> Iterator[None]:
    before = os.environ.get("NO_COLOR")
    os.environ["NO_COLOR"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("NO_COLOR", None)
        else:
            os.environ["NO_COLOR"] = before
