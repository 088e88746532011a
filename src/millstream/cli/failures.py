"""Exit codes, and what a failed graph looks like on stderr."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from millstream._base.distributions import is_installed
from millstream.cli.output import print_text

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
READER_GONE: Final = 141


class UsageError(Exception):
    """The command line asks for something that cannot be done; the message says what to do."""


def working_directory() -> str:
    """Return the path of the current directory, which may have been deleted."""
    try:
        return os.getcwd()
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be read: {error.strerror}; change to another, "
            "or give the whole path of a file"
        ) from error


def text_of(error: BaseException) -> str:
    """Return the text of an error, also of one that cannot say it."""
    try:
        return str(error)
    except Exception as fault:
        return f"its text cannot be read, because that raises {type(fault).__name__}"


def reason(error: BaseException) -> str:
    """Return `error` in one line: its class, its text and the line of the user's code."""
    text = " ".join(text_of(error).split())
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):
        # Its text names the line already.
        return described
    frames = _of_user(traceback.extract_tb(error.__traceback__))
    if not frames:
        return described
    # Of the packages that the user's code calls only where there is nothing else.
    frames = [frame for frame in frames if not is_installed(frame.filename)] or frames
    return f"{described} ({_short_path(frames[-1].filename)}, line {frames[-1].lineno})"


def print_failure(error: BaseException, *, is_whole: bool = False) -> None:
    """Write the traceback of `error` to stderr, without the frames of the machinery or whole."""
    trace = traceback.TracebackException.from_exception(error)
    if not is_whole:
        _shorten(trace)
    print_text("".join(trace.format()))


@contextmanager
def causes_shown(wanted: bool) -> Iterator[None]:
    """Show the whole traceback of what has made the command refuse something, if it is wanted."""
    try:
        yield
    except UsageError as error:
        if wanted and error.__cause__ is not None:
            print_failure(error.__cause__, is_whole=True)
        raise


def _short_path(path: str) -> str:
    try:
        return os.path.relpath(path)
    except (OSError, ValueError):
        # The working directory is gone, or on another drive.
        return path


def _shorten(trace: traceback.TracebackException) -> None:
    frames = _of_user(trace.stack)
    # A stack of None leaves out the "Traceback" heading as well.
    trace.stack = traceback.StackSummary.from_list(frames) if frames else None  # type: ignore[assignment]  # format() tests for None
    inner = (trace.__cause__, trace.__context__, *(getattr(trace, "exceptions", None) or ()))
    for other in inner:
        if other is not None and other.stack is not None:
            _shorten(other)


def _of_user(frames: Iterable[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    machinery = _machinery()
    return [frame for frame in frames if not frame.filename.startswith(machinery)]


def _machinery() -> tuple[str, ...]:
    directories = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    # Whatever has a frame in a traceback has been imported.
    for name in ("asyncio", "concurrent", "importlib", "langchain_core", "langsmith", "typer"):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path is not None:
            directories.append(os.path.dirname(path))
    return (*(path + os.sep for path in directories), threading.__file__, "<frozen ")
