"""Where in the code something is, for the log: nothing of what clients send is in that."""

from __future__ import annotations

from types import FrameType


def place_of(frame: FrameType | None) -> str:
    """Return where a function has come to."""
    if frame is None:
        return "a place unknown"
    return _place(frame, frame.f_lineno)


def place_of_error(error: BaseException) -> str | None:
    """Return where an error was raised, None if it never was."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return _place(trace.tb_frame, trace.tb_lineno)


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
