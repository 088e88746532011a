"""What the command writes: where that may fail, and what must not reach a terminal as it is.

Text of models, of programs and of whoever wrote to them is not trusted. A terminal obeys control
characters: it changes its title, fills the clipboard, hides text or moves over it. So they are
shown instead, as the pictures that Unicode has of them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final, NoReturn, TextIO

from millstream._base.texts import BIDIRECTIONAL, visible

ESCAPES: Final = {code: f"\\u{code:04x}" for code in (0x7F, *range(0x80, 0xA0), *BIDIRECTIONAL)}


class ReaderGoneError(Exception):
    """Whoever read stdout closed it."""


class OutputError(Exception):
    """What was to be shown cannot be written; the message says why."""


def to_json(value: Any, encoding: str | None) -> str:
    """Return JSON in one line that a stream of this encoding can hold and a terminal can show."""
    is_unicode = (encoding or "").lower().replace("-", "").replace("_", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not is_unicode)
    return text.translate(ESCAPES)


def complain(message: str) -> None:
    """Say on stderr, in one line, what is wrong."""
    print_text(f"millstream: {' '.join(message.split())}\n")


def print_text(text: str) -> None:
    """Write to stderr, where it can be written: there is nowhere else to say that it cannot."""
    try:
        sys.stderr.write(visible(text))
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        if sys.stderr is not None:
            _silence(sys.stderr)


class Output:
    """A text stream that raises `ReaderGoneError` or `OutputError` where it cannot be written."""

    def __init__(self, stream: TextIO | None) -> None:
        if stream is None:
            raise OutputError("stdout is closed; give it a file, a pipe or a terminal")
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)

    def write_bytes(self, data: bytes) -> None:
        """Write what is no text."""
        try:
            self._stream.flush()
            self._stream.buffer.write(data)
            self._stream.buffer.flush()
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Have everything written."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> NoReturn:
        _silence(self._stream)
        if isinstance(error, BrokenPipeError):
            raise ReaderGoneError from error
        raise OutputError(f"stdout cannot be written: {error.strerror}") from error


def _silence(stream: TextIO) -> None:
    # The interpreter flushes it once more at exit, which would complain again.
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return
