"""What to do about an error whose text is LangGraph's."""

from __future__ import annotations

from typing import TypeVar

ErrorT = TypeVar("ErrorT", bound=BaseException)


def with_advice(error: ErrorT, advice: str) -> ErrorT:
    """Return the error with a line behind its text in its traceback (Python 3.11 and later).

    Programs compare texts, and none reads a note.
    """
    if hasattr(error, "add_note"):
        error.add_note(advice)
    return error
