"""Queries about runs that one replica holds and others read, wait for, or stop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, Integer, Text, column, or_, select, update, values

from millstream.server.log.event_ids import START, EventId
from millstream.server.log.run_log import Entry
from millstream.server.runs.lifecycle import UNDER_WAY, RunInput, RunStatus
from millstream.server.storage import events
from millstream.server.storage.tables import UNFINISHED, run_events, runs

FEWEST: Final = 100
MOST: Final = 2000
"""How many events are read together: few at first, more where there are many that are small."""
MANY_BYTES: Final = 4 * 1024 * 1024
"""How much is enough at a time, as it is in memory then."""


class Followed(NamedTuple):
    """How a run stands that is read, or waited for, at another replica than its holder."""

    run_id: str
    thread_id: str
    status: RunStatus
    shown: int
    """Up to which of its events others may read."""
    result: bytes | None
    """What those get who wait for it; None if it has not ended, or nobody was known to wait."""

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.status in UNDER_WAY


class News(NamedTuple):
    """What is new of runs that are followed."""

    runs: Mapping[str, Followed]
    """Those that are there."""
    events: Mapping[str, list[Entry]]
    is_whole: bool
    """There are no more events."""


class Wish(NamedTuple):
    """What others want of a run, for whoever carries it out."""

    run_id: str
    stop: RunInput | None
    is_followed: bool


_FOLLOWED = (runs.c.run_id, runs.c.thread_id, runs.c.status, runs.c.shown, runs.c.result)


def follow(connection: Connection, run_id: str) -> tuple[Followed, bool] | None:
    """Note that another replica than its holder reads a run; None if it has ended.

    Return how it stands, and whether its holder has to be told.
    """
    new = (runs.c.run_id == run_id, UNFINISHED, runs.c.is_followed.is_(False))
    noted = connection.execute(update(runs).where(*new).values(is_followed=True))
    found = states(connection, [run_id]).get(run_id)
    return (found, noted.rowcount > 0) if found is not None and found.is_under_way else None


def states(connection: Connection, run_ids: Collection[str]) -> Mapping[str, Followed]:
    """Return how runs stand, of those that are there."""
    query = select(*_FOLLOWED).where(runs.c.run_id.in_(run_ids))
    return {row.run_id: Followed(*row) for row in connection.execute(query)}


def together(before: int, size: int, *, is_whole: bool) -> int:
    """Return how many events to read next, when `before` many or fewer had so many bytes."""
    if size > MANY_BYTES:
        return max(1, before // 2)
    return before if is_whole else min(2 * before, MOST)


def news(
    connection: Connection, run_ids: Collection[str], read: Mapping[str, int], most: int = MOST
) -> News:
    """Return how runs stand, and of those that are read what comes after a place, up to `most`."""
    found = states(connection, run_ids)
    told: dict[str, list[Entry]] = {}
    count = 0
    if read:
        place = values(column("run_id", Text), column("after", Integer), name="place")
        place = place.data(list(read.items()))
        query = (
            select(run_events)
            .join(place, run_events.c.run_id == place.c.run_id)
            .join(runs, runs.c.run_id == run_events.c.run_id)
            .where(
                run_events.c.seq > place.c.after,
                or_(run_events.c.seq <= runs.c.shown, runs.c.status.not_in(UNDER_WAY)),
            )
            .order_by(run_events.c.run_id, run_events.c.seq)
            .limit(most)
        )
        for row in connection.execute(query):
            told.setdefault(row.run_id, []).append(events.entry_of(row))
            count += 1
    return News(found, told, count < most)


def place(connection: Connection, run_id: str) -> EventId | None:
    """Return the last event of a run that others than its holder may read; None if it has ended."""
    found = states(connection, [run_id]).get(run_id)
    if found is None or not found.is_under_way:
        return None
    if not found.shown:
        return START
    of = (run_events.c.run_id == run_id, run_events.c.seq == found.shown)
    ms = connection.scalar(select(run_events.c.ms).where(*of))
    return START if ms is None else (ms, found.shown)


def wishes(connection: Connection, run_ids: Collection[str]) -> list[Wish]:
    """Return what others want of runs."""
    query = select(runs.c.run_id, runs.c.stop, runs.c.is_followed)
    return [Wish(*row) for row in connection.execute(query.where(runs.c.run_id.in_(run_ids)))]
