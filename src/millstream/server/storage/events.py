"""Queries about stored events: those of runs whose streams can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    and_,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    true,
    update,
)

from millstream.server.log.event_ids import EventId
from millstream.server.log.repeats import STATE_MODES
from millstream.server.log.run_log import PROTOCOL, Entry
from millstream.server.runs.lifecycle import UNDER_WAY
from millstream.server.storage.run_statements import ADD_EVENT
from millstream.server.storage.tables import run_events, runs, threads
from millstream.server.storage.times import ms_of

FORGOTTEN_TOGETHER: Final = 200
"""Of how many runs events are deleted in one transaction: nobody waits for it for long."""
_TOGETHER: Final = 500
"""Of how many things what was told is deleted in one statement."""
MOST_SAID: Final = 1000
"""How many events of the attempts before are looked at: those of the last few supersteps."""


def append(connection: Connection, run_id: str, entries: Sequence[Entry]) -> None:
    """Store events of a run, in their order."""
    if entries:
        ADD_EVENT.run_each(
            connection,
            [
                {
                    "run_id": run_id,
                    "seq": entry.seq,
                    "ms": entry.ms,
                    "mode": entry.mode,
                    "needs": entry.needs,
                    "frame": entry.frame,
                }
                for entry in entries
            ],
        )


def read(connection: Connection, run_id: str, after: EventId, limit: int) -> list[Entry]:
    """Return the first events of a run that come after an id."""
    query = (
        select(run_events)
        .where(run_events.c.run_id == run_id, _after(after))
        .order_by(run_events.c.seq)
        .limit(limit)
    )
    return [entry_of(row) for row in connection.execute(query)]


def read_from(connection: Connection, run_id: str, seq: int, limit: int) -> list[Entry]:
    """Return the first events of a run that come after a place."""
    query = (
        select(run_events)
        .where(run_events.c.run_id == run_id, run_events.c.seq > seq)
        .order_by(run_events.c.seq)
        .limit(limit)
    )
    return [entry_of(row) for row in connection.execute(query)]


def read_of_thread(
    connection: Connection,
    thread_id: str,
    run_id: str,
    seq: int,
    limit: int,
    replica: str | None = None,
) -> list[Entry]:
    """Return the first events of a run after a place, none if it is of another thread."""
    query = (
        select(run_events)
        .join(runs, runs.c.run_id == run_events.c.run_id)
        .where(
            runs.c.thread_id == thread_id,
            run_events.c.run_id == run_id,
            run_events.c.seq > seq,
            _is_shown(replica),
        )
        .order_by(run_events.c.seq)
        .limit(limit)
    )
    return [entry_of(row) for row in connection.execute(query)]


def read_thread(
    connection: Connection,
    thread_id: str,
    after: EventId,
    limit: int,
    replica: str | None = None,
) -> list[tuple[str, Entry]]:
    """Return the first stored events of all runs of a thread after an id, each with its run.

    `replica` is the one that asks, where there are several: of what others carry out it gets what
    they have shown.
    """
    query = (
        select(run_events)
        .join(runs, runs.c.run_id == run_events.c.run_id)
        .where(runs.c.thread_id == thread_id, _after(after), _is_shown(replica))
        .order_by(run_events.c.ms, run_events.c.seq)
        .limit(limit)
    )
    return [(row.run_id, entry_of(row)) for row in connection.execute(query)]


def read_protocol(
    connection: Connection,
    thread_id: str,
    after: EventId,
    limit: int,
    replica: str | None = None,
) -> list[tuple[str, Entry]]:
    """Return the first protocol events of a thread after an id, each with its run."""
    query = (
        select(run_events)
        .join(runs, runs.c.run_id == run_events.c.run_id)
        .where(runs.c.thread_id == thread_id, _after(after), _is_protocol(), _is_shown(replica))
        .order_by(run_events.c.ms, run_events.c.seq)
        .limit(limit)
    )
    return [(row.run_id, entry_of(row)) for row in connection.execute(query)]


def last_protocol_frame(connection: Connection, thread_id: str) -> bytes | None:
    """Return the last protocol event that is stored of a thread, None if none is."""
    # The last of each run is found from its end. Sorting all would read all that was ever said.
    last_of_run = (
        select(run_events.c.seq)
        .where(run_events.c.run_id == runs.c.run_id, _is_protocol())
        .order_by(run_events.c.seq.desc())
        .limit(1)
        .correlate(runs)
        .scalar_subquery()
    )
    lasts = select(runs.c.run_id, last_of_run.label("seq")).where(runs.c.thread_id == thread_id)
    last = lasts.subquery()
    query = (
        select(run_events.c.frame)
        .join(last, and_(run_events.c.run_id == last.c.run_id, run_events.c.seq == last.c.seq))
        .order_by(run_events.c.ms.desc(), run_events.c.seq.desc())
        .limit(1)
    )
    frame = connection.scalar(query)
    return None if frame is None else bytes(frame)


def age_of_thread(connection: Connection, thread_id: str, run_id: str, ms: int) -> int:
    """Return for how long a thread has been there at a time, 0 if this is its first run.

    Both are in milliseconds, the time since 1970.
    """
    others = exists().where(runs.c.thread_id == thread_id, runs.c.run_id != run_id)
    query = select(threads.c.created_at).where(threads.c.thread_id == thread_id, others)
    made = connection.scalar(query)
    return 0 if made is None else max(0, ms - ms_of(made))


def place_of(connection: Connection, run_id: str, id: EventId) -> int:
    """Return the place of the last event of a run that does not come after an id."""
    query = (
        select(run_events.c.seq)
        .where(run_events.c.run_id == run_id, not_(_after(id)))
        .order_by(run_events.c.seq.desc())
        .limit(1)
    )
    return connection.scalar(query) or 0


def last_of(connection: Connection, run_id: str) -> EventId:
    """Return the id of the last event that is stored of a run."""
    query = (
        select(run_events.c.ms, run_events.c.seq)
        .where(run_events.c.run_id == run_id)
        .order_by(run_events.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return (0, 0) if row is None else (row.ms, row.seq)


def last_seq(run_id: str | ColumnElement[str]) -> ScalarSelect[Any]:
    """Return what finds the place of the last event that is stored of a run, 0 if none is."""
    last = func.coalesce(func.max(run_events.c.seq), 0)
    return select(last).where(run_events.c.run_id == run_id).scalar_subquery()


def said(connection: Connection, run_id: str, modes: Sequence[str]) -> list[Entry]:
    """Return the last events of some modes that are stored of a run, in either form."""
    query = (
        select(run_events)
        .where(run_events.c.run_id == run_id, _is_of(modes))
        .order_by(run_events.c.seq.desc())
        .limit(MOST_SAID)
    )
    return [entry_of(row) for row in reversed(connection.execute(query).all())]


def needs(connection: Connection, run_id: str) -> list[tuple[str, int]]:
    """Return what events of a run need to be stored, and the last that does; the last first."""
    last = func.max(run_events.c.seq)
    query = (
        select(run_events.c.needs, last)
        .where(run_events.c.run_id == run_id, run_events.c.needs.is_not(None))
        .group_by(run_events.c.needs)
        .order_by(last.desc())
    )
    return [(text, seq) for text, seq in connection.execute(query)]


def forget_needing(
    connection: Connection, run_id: str, after: int, lost: Sequence[str] = ()
) -> None:
    """Delete what a run has said of things that are not stored, and never will be.

    These are its events after a place, from the first one on that needs anything, and those before
    it that tell the state, of what is `lost`.
    """
    first = select(func.min(run_events.c.seq)).where(
        run_events.c.run_id == run_id, run_events.c.seq > after, run_events.c.needs.is_not(None)
    )
    connection.execute(
        delete(run_events).where(
            run_events.c.run_id == run_id, run_events.c.seq >= first.scalar_subquery()
        )
    )
    for start in range(0, len(lost), _TOGETHER):
        needed = run_events.c.needs.in_(lost[start : start + _TOGETHER])
        of_run = run_events.c.run_id == run_id
        connection.execute(delete(run_events).where(of_run, needed, _is_of(STATE_MODES)))


def keep(connection: Connection, run_id: str) -> None:
    """Note that all events of a run count that are stored: they were shown."""
    connection.execute(update(run_events).where(run_events.c.run_id == run_id).values(needs=None))


def forget(connection: Connection, ended_before: str) -> int:
    """Delete the events of some runs that had ended before a time; return of how many runs.

    It costs as much as there are runs with events, however many runs there are.
    """
    spoken = _spoken()
    query = (
        select(runs.c.run_id)
        .join(spoken, spoken.c.run_id == runs.c.run_id)
        .where(runs.c.ended_at < ended_before)
        .limit(FORGOTTEN_TOGETHER)
    )
    ids = connection.scalars(query).all()
    if ids:
        connection.execute(delete(run_events).where(run_events.c.run_id.in_(ids)))
        told = runs.c.run_id.in_(ids), runs.c.result.is_not(None)
        connection.execute(update(runs).where(*told).values(result=None))
    return len(ids)


def _spoken() -> CTE:
    """Return the runs of which events are stored, found from one to the next in the index."""
    first = select(func.min(run_events.c.run_id).label("run_id"))
    spoken = first.cte("spoken", recursive=True)
    later = run_events.alias()
    following = select(func.min(later.c.run_id)).where(later.c.run_id > spoken.c.run_id)
    rest = select(following.scalar_subquery()).where(spoken.c.run_id.is_not(None))
    return spoken.union_all(rest)


def _is_of(modes: Sequence[str]) -> ColumnElement[bool]:
    """Say whether an event is of some modes, in either form."""
    channels = [run_events.c.mode.startswith(f"{PROTOCOL}{mode}\n") for mode in modes]
    return or_(run_events.c.mode.in_(modes), *channels)


def _is_protocol() -> ColumnElement[bool]:
    return run_events.c.mode.startswith(PROTOCOL)


def _is_shown(replica: str | None) -> ColumnElement[bool]:
    """Say whether a replica may read an event, which knows by itself what it shows of its runs."""
    if replica is None:
        return true()
    is_here = and_(runs.c.status == "running", runs.c.holder == replica)
    return or_(runs.c.status.not_in(UNDER_WAY), is_here, run_events.c.seq <= runs.c.shown)


def _after(id: EventId) -> ColumnElement[bool]:
    ms, seq = id
    return or_(run_events.c.ms > ms, and_(run_events.c.ms == ms, run_events.c.seq > seq))


def entry_of(row: Row[Any]) -> Entry:
    """Return the event that a row has."""
    return Entry(row.seq, row.ms, row.mode, bytes(row.frame), row.needs)
