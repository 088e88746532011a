"""Queries about runs that one replica holds and others read, wait for, or stop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from millstream.server.runs.lifecycle import UNDER_WAY, RunInput, RunStatus
from millstream.server.storage.tables import UNFINISHED, runs


class Followed(NamedTuple):
    """How a run stands that is read, or waited for, at another replica than its holder."""

    run_id: str
    thread_id: str
    status: RunStatus
    attempt: int
    shown: int
    """Up to which of its events others may read."""
    result: bytes | None
    """What those get who wait for it; None if it has not ended, or nobody was known to wait."""

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.status in UNDER_WAY


class Wish(NamedTuple):
    """What others want of a run, for whoever carries it out."""

    run_id: str
    stop: RunInput | None
    is_followed: bool


_FOLLOWED = (
    runs.c.run_id,
    runs.c.thread_id,
    runs.c.status,
    runs.c.attempt,
    runs.c.shown,
    runs.c.result,
)


def follow(connection: Connection, run_id: str) -> bool | None:
    """Note that another replica than its holder reads a run; None if it has ended.

    Say whether that is new, so that its holder has to be told.
    """
    mine = runs.c.run_id == run_id
    noted = connection.execute(
        update(runs).where(mine, UNFINISHED, runs.c.is_followed.is_(False)).values(is_followed=True)
    )
    if noted.rowcount:
        return True
    known = connection.scalar(select(runs.c.run_id).where(mine, UNFINISHED))
    return None if known is None else False


def states(connection: Connection, run_ids: Collection[str]) -> Mapping[str, Followed]:
    """Return how runs stand, of those that are there."""
    query = select(*_FOLLOWED).where(runs.c.run_id.in_(run_ids))
    return {row.run_id: Followed(*row) for row in connection.execute(query)}


def wishes(connection: Connection, run_ids: Collection[str]) -> list[Wish]:
    """Return what others want of runs."""
    query = select(runs.c.run_id, runs.c.stop, runs.c.is_followed)
    return [Wish(*row) for row in connection.execute(query.where(runs.c.run_id.in_(run_ids)))]
