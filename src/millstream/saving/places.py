"""The journal that a graph means by the path or the address that it was given as its saver."""

from __future__ import annotations

import os
import re
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from millstream._base.addresses import shown

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.journal import Journal

    Place: TypeAlias = str | os.PathLike[str]
    """The path of a file of `SqliteJournal`, or the URL of a database of `PostgresJournal`."""

ValueT = TypeVar("ValueT")

_MEMORY: Final = ":memory:"
_POSTGRES: Final = ("postgresql://", "postgres://")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FORMS: Final = 'a path ("threads.db"), or "postgresql://user@host/database"'
_MAGIC: Final = b"SQLite format 3\0"

_SHARED: Final[weakref.WeakValueDictionary[str, Journal]] = weakref.WeakValueDictionary()
"""By place, what graphs of this process have. A journal that nobody has closes its connections, and
so does the end of the interpreter."""
_LOCK: Final = threading.Lock()


def saver_of(checkpointer: Place | ValueT) -> BaseCheckpointSaver[Any] | ValueT:
    """Return the journal of a path or an address, and anything else as it is.

    Raises:
        ValueError: No journal can be there; the message says why.
    """
    if not isinstance(checkpointer, (str, os.PathLike)):
        return checkpointer
    return journal_at(checkpointer)


def journal_at(place: Place) -> Journal:
    """Return the journal of a path or an address, the same one as long as somebody has it."""
    text = _located(place)
    if text == _MEMORY:
        # In SQLite each has one of its own.
        return new_journal(text)
    with _LOCK:
        journal = _SHARED.get(text)
        if journal is None or journal.is_closed:
            journal = _SHARED[text] = new_journal(text)
        return journal


def new_journal(place: Place, **options: Any) -> Journal:
    """Return a journal at a path or an address that nobody else has."""
    from millstream.journal import PostgresJournal, SqliteJournal

    text = _located(place)
    make = PostgresJournal if _is_url(text) else SqliteJournal
    return make(text, **options)


def _located(place: Place) -> str:
    """Return the text that all names of a place have in common, or say why nothing can be there."""
    text = os.fspath(place)
    if not isinstance(text, str):
        raise ValueError(f"A saver's path is text, not {text!r}: give {_FORMS}")
    if text == _MEMORY:
        return text
    if isinstance(place, str) and _is_url(text):
        _check_url(text)
        return text
    return os.path.realpath(_checked_path(text))


def _is_url(text: str) -> bool:
    return _URL.match(text) is not None


def _check_url(url: str) -> None:
    if not url.startswith(_POSTGRES):
        raise ValueError(f"{shown(url)!r} is no address that a saver is for: give {_FORMS}")
    from millstream.journal.postgres_connections import checked_address

    checked_address(url)


def _checked_path(path: str) -> str:
    fault = _fault(path)
    if fault is not None:
        raise ValueError(f"No saver can be at {path!r}, {fault}: give {_FORMS}")
    return path


def _fault(path: str) -> str | None:
    """Return what keeps a file from being a journal's, as far as one sees before opening it."""
    if not path or "\0" in path:
        return "which is no path"
    if os.path.isdir(path):
        return "which is a directory"
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        return "whose directory does not exist"
    if os.path.isfile(path):
        try:
            with open(path, "rb") as file:
                start = file.read(len(_MAGIC))
        except OSError as error:
            return f"which cannot be read ({error.strerror})"
        if start and start != _MAGIC:
            return "which is a file of another kind than SQLite's"
    return None
