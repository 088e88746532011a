"""How what is built on a journal asks its storage: as the journal itself does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from millstream.journal.reading import Requests
from millstream.journal.rows import Request
from millstream.journal.saver import Journal
from millstream.journal.sealing import Sealing
from millstream.journal.writing import Memory

ResultT = TypeVar("ResultT")


def ask(journal: Journal, make: Callable[[Sealing], Requests[ResultT]]) -> ResultT:
    """Carry out what a read asks for, and return its result."""
    return journal._read(lambda: make(journal._sealing()))


def change(journal: Journal, make: Callable[[Memory, Sealing], Requests[ResultT]]) -> ResultT:
    """Carry out what somebody who writes asks for, while nobody else in this process does."""
    return journal._lane.run(lambda: make(journal._memory, journal._sealing()))


def answer(journal: Journal, request: Request) -> Any:
    """Return the answer to one request that reads."""
    return journal._read(lambda: _only(request))


def _only(request: Request) -> Requests[Any]:
    return (yield request)
