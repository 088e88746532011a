"""Queries about attempts at a run: what the one before has come to, and who makes this one.

Two processes may take a run for theirs: one has lost the database for a while, and does not know
that another one has taken the run over. The number of the attempt tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import Connection, bindparam, select, update

from millstream.server.storage import events
from millstream.server.storage.locks import are_many, lock_thread
from millstream.server.storage.prepared import Prepared
from millstream.server.storage.tables import runs

if TYPE_CHECKING:
    from millstream.server.log.run_log import Entry

T = TypeVar("T")

# Who takes it over changes the row, and waits for those who hold it so.
_HELD: Final = Prepared(
    select(runs.c.attempt, runs.c.status)
    .where(runs.c.run_id == bindparam("id"))
    .with_for_update(read=True)
)


class TakenOverError(RuntimeError):
    """Somebody else carries out a run; what this process stores of it is refused."""

    def __init__(self, run_id: str, attempt: int) -> None:
        super().__init__(run_id, attempt)
        self.run_id = run_id
        self.attempt = attempt

    def __str__(self) -> str:
        return f"attempt {self.attempt} is over, another process has run {self.run_id}"


def append(
    connection: Connection,
    run_id: str,
    attempt: int,
    entries: Sequence[Entry],
    shown: int | None = None,
) -> None:
    """Store events of an attempt at a run, in their order.

    `shown` is up to where other replicas may read, if any does.
    """
    if shown is not None:
        mine = (runs.c.run_id == run_id, runs.c.attempt == attempt, runs.c.status == "running")
        told = connection.execute(update(runs).where(*mine).values(shown=shown))
        if not told.rowcount:
            raise TakenOverError(run_id, attempt)
    else:
        _check(connection, run_id, attempt)
    events.append(connection, run_id, entries)


def _check(connection: Connection, run_id: str, attempt: int) -> None:
    """Raise `TakenOverError` if somebody else carries out a run."""
    # The owner of a file need not ask: the operating system knows whose it is.
    if are_many(connection):
        found = _HELD.first(connection, id=run_id)
        if found is None or (found.attempt, found.status) != (attempt, "running"):
            raise TakenOverError(run_id, attempt)


def end(
    connection: Connection,
    run_id: str,
    thread_id: str,
    attempt: int,
    finish: Callable[[Connection], T],
) -> T:
    """Store the end of an attempt at a run by a function."""
    lock_thread(connection, thread_id)
    if are_many(connection):
        found = _HELD.first(connection, id=run_id)
        # One that has ended is for the function: its end may have been stored a moment ago.
        if found is not None and (found.attempt != attempt or found.status == "pending"):
            raise TakenOverError(run_id, attempt)
    return finish(connection)


HANDED_BACK: Final = "handed back"
"""The place of a run whose attempt has not died: it was stopped, for another one to go on."""


def go_on(connection: Connection, run_id: str, attempt: int, place: str) -> int:
    """Note that another attempt begins at a place; return how many have died there."""
    _check(connection, run_id, attempt)
    query = select(runs.c.place, runs.c.deaths).where(runs.c.run_id == run_id)
    known = connection.execute(query).first()
    if known is not None and known.place == HANDED_BACK:
        deaths = 0
    else:
        deaths = known.deaths + 1 if known is not None and known.place == place else 1
    connection.execute(
        update(runs).where(runs.c.run_id == run_id).values(place=place, deaths=deaths)
    )
    return deaths


def note_found(connection: Connection, run_id: str, found: str) -> None:
    """Note what a command finds of its thread, before it has changed anything."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(found=found))


def found(connection: Connection, run_id: str) -> str | None:
    """Return what a command has found of its thread, None if it has not begun."""
    text: str | None = connection.scalar(select(runs.c.found).where(runs.c.run_id == run_id))
    return text
