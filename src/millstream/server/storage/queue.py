"""The queue: runs that want nothing but a slot, and how they get into it and out of it.

Which of them is next is decided by `runs.turns`. What these functions need of all that wait is at
one end of an index, so that it does not count how many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, select, update

from millstream.server.log.event_ids import START
from millstream.server.runs.lifecycle import status_after
from millstream.server.runs.revisions import Living, may_go_on
from millstream.server.runs.turns import (
    GOES_ON,
    MOST_URGENT,
    Settings,
    Waiting,
    choose,
    turn_of,
)
from millstream.server.storage import events, thread_readers
from millstream.server.storage import run_statements as statements
from millstream.server.storage.attempts import HANDED_BACK
from millstream.server.storage.locks import are_many, lock_free_threads, lock_threads
from millstream.server.storage.run_records import Holder, Job
from millstream.server.storage.tables import PUT_OFF, runs
from millstream.server.storage.times import ms_of, now

_Judge: TypeAlias = Callable[[str | None], bool]
"""What says by the revision that has begun a run whether it may be gone on with here."""
_TOGETHER: Final = 100
"""Runs whose time has come that enter the queue in one transaction."""


def turn(connection: Connection, owner: str, priority: int) -> int:
    """Return the turn of a run that enters the queue."""
    first = statements.FIRST_TURN.first(connection, priority=priority)
    own = statements.OWN_TURN.first(connection, owner=owner, priority=priority)
    return turn_of(first and first.turn, own and own.turn)


class Assignment(NamedTuple):
    """What settings of a thread are made of."""

    assistant: Any
    thread: Any


def assignment(connection: Connection, assistant_id: str, thread_id: str | None) -> Assignment:
    """Return what is known of an assistant and a thread, None for what is not there."""
    assistant = statements.ASSISTANT.first(connection, id=assistant_id)
    thread = None
    if thread_id is not None:
        thread = statements.SETTINGS.first(connection, id=thread_id)
    return Assignment(assistant, thread)


def settings_of(
    connection: Connection, thread_id: str, settings: Settings | None
) -> Settings | None:
    """Return the settings of a thread: those that are kept there, else these."""
    if settings is None:
        return None
    known = statements.SETTINGS.first(connection, id=thread_id)
    if known.priority is not None:
        return Settings(known.priority, known.fairness_group)
    if settings.is_kept:
        statements.SETTLE.run(
            connection, id=thread_id, priority=settings.priority, fairness_group=settings.group
        )
    return settings


def next_of(connection: Connection, thread_id: str, time: str) -> Any:
    """Return the run of a thread on which nothing goes on that is next; None if none is."""
    return statements.NEXT.first(connection, thread_id=thread_id, time=time)


def enter(connection: Connection, run: Any) -> None:
    """Have a run in the queue that has waited for nothing but its thread, or its time."""
    _place(connection, run, turn(connection, run.owner, run.priority))


def _place(connection: Connection, run: Any, turn: int | None) -> None:
    due_at = run.due_at or run.start_at
    statements.ENTER.run(connection, id=run.run_id, turn=turn, due_at=due_at, start_at=None)


def free(connection: Connection, thread_id: str, time: str) -> None:
    """Have the next run of a thread in the queue, if it waits for no other one."""
    if statements.AHEAD.first(connection, thread_id=thread_id) is None:
        waiting = next_of(connection, thread_id, time)
        if waiting is not None:
            enter(connection, waiting)


def begin(connection: Connection, run_id: str, time: str, holder: Holder) -> Job:
    """Have a replica begin a run, or go on with it."""
    run = statements.WAITING.first(connection, id=run_id)
    attempt = run.attempt + 1
    is_followed = run.is_followed or thread_readers.are_elsewhere(
        connection, run.thread_id, holder.replica_id
    )
    statements.BEGIN.run(
        connection,
        id=run_id,
        status=status_after("pending", "claimed"),
        started_at=run.started_at or time,
        attempt=attempt,
        holder=holder.replica_id,
        revision=holder.revision,
        is_followed=is_followed,
        turn=None,
        start_at=None,
    )
    is_stored = run.is_resumable or is_followed
    last = events.last_of(connection, run_id) if run.attempt and is_stored else START
    return Job(
        run_id,
        run.thread_id,
        run.assistant_id,
        run.kwargs,
        run.metadata,
        attempt,
        last,
        run.stop,
        run.priority,
        is_followed,
        ms_of(run.state_updated_at),
    )


class Claimed(NamedTuple):
    """What a replica begins."""

    jobs: Sequence[Job]
    has_passed: bool = False
    """It has passed by runs whose threads somebody else was changing."""


def claim(
    connection: Connection,
    limit: int,
    begun: Mapping[int, float],
    holder: Holder,
    *,
    rule: str = "same",
    without: Collection[str] = (),
    time: str | None = None,
) -> Claimed:
    """Have a replica begin up to `limit` runs.

    `begun` is when the last of each priority began there, `rule` with which of the runs that
    others have begun it goes on, `without` the runs that it still has.
    """
    moment = time or now(connection)
    may = _judge(connection, holder.revision, rule)

    def find(passed: Collection[str]) -> Sequence[Any]:
        return _next(connection, limit, begun, moment, {*without, *passed}, may)

    chosen, has_passed = _free(connection, find)
    jobs = [begin(connection, run.run_id, moment, holder) for run in chosen]
    for job in jobs:
        # It is not where the run was put off.
        statements.BUSY_AGAIN.run(connection, id=job.thread_id, status="busy", updated_at=moment)
    return Claimed(jobs, has_passed)


def _free(
    connection: Connection, find: Callable[[Collection[str]], Sequence[Any]]
) -> tuple[Sequence[Any], bool]:
    """Return runs whose threads nobody else changes, and whether others were passed by for that.

    Nobody is waited for: whoever changes a thread may be beginning its run.
    """
    if not are_many(connection):
        return find(()), False
    locked: set[str] = set()
    passed: set[str] = set()
    while True:
        rows = find(passed)
        new = [row for row in rows if row.thread_id not in locked]
        if not new:
            # Nobody has begun or ended any of them since they were locked.
            return rows, bool(passed)
        locked |= lock_free_threads(connection, [row.thread_id for row in new])
        passed.update(row.run_id for row in new if row.thread_id not in locked)


def _judge(connection: Connection, own: str, rule: str) -> _Judge:
    """Return what says with which runs a replica may go on."""
    if not are_many(connection):
        return lambda _: True

    @cache
    def living() -> Sequence[Living]:
        return [Living(*row) for row in statements.LIVING.all(connection)]

    return lambda begun_by: begun_by is None or may_go_on(begun_by, own, living(), rule)


def _next(
    connection: Connection,
    limit: int,
    begun: Mapping[int, float],
    time: str,
    without: Collection[str],
    may: _Judge,
) -> Sequence[Any]:
    """Return the runs whose turn it is, of all but some."""
    rows = _first(connection, limit, without)
    if not all(row.turn != GOES_ON or may(row.revision) for row in rows):
        # However many are for others, none of them is looked at.
        rows = _first_of(connection, limit, without, may)
    found = {row.run_id: row for row in rows}
    queues: dict[int, list[Waiting]] = defaultdict(list)
    for row in rows:
        queues[row.priority].append(Waiting(row.run_id, row.turn, _seconds(row.due_at)))
    return [found[run.run_id] for run in choose(queues, begun, _seconds(time), limit)]


def _first(connection: Connection, limit: int, without: Collection[str]) -> Sequence[Any]:
    """Return the first runs of each priority, of all but some."""
    found: list[Any] = []
    priority = MOST_URGENT - 1
    while first := statements.NEXT_PRIORITY.first(connection, after=priority):
        priority = first.priority
        rows = [first]
        if limit > 1 or without:
            most = limit + len(without)
            rows = statements.OF_PRIORITY.all(connection, priority=priority, most=most)
            rows = [row for row in rows if row.run_id not in without][:limit]
        found += rows
    return found


def _first_of(
    connection: Connection, limit: int, without: Collection[str], may: _Judge
) -> Sequence[Any]:
    """Return them where some that have begun are for replicas of another revision."""
    most = limit + len(without)
    found = [*statements.OF_NO_REVISION.all(connection, most=most)]
    if may(""):
        found += statements.OF_REVISION.all(connection, revision="", most=most)
    after = ""
    while row := statements.NEXT_REVISION.first(connection, after=after):
        after = row.revision
        if may(after):
            found += statements.OF_REVISION.all(connection, revision=after, most=most)
    found.sort(key=lambda row: (row.due_at, row.run_id))
    priority = MOST_URGENT - 1
    while first := statements.NEXT_PRIORITY.first(connection, after=priority):
        priority = first.priority
        found += statements.NOT_BEGUN.all(connection, priority=priority, most=most)
    return [row for row in found if row.run_id not in without]


def bring_due(connection: Connection, time: str | None = None) -> bool:
    """Have runs in the queue that were put off until now; return whether there may be more."""
    moment = time or now(connection)
    due = _locked(connection, lambda: statements.DUE.all(connection, time=moment, most=_TOGETHER))
    for run in due:
        if statements.AHEAD.first(connection, thread_id=run.thread_id) is None:
            enter(connection, run)
        else:
            _place(connection, run, None)
    return len(due) == _TOGETHER


def _locked(connection: Connection, find: Callable[[], Sequence[Any]]) -> Sequence[Any]:
    """Return the runs that are found, whose threads nobody else changes any more."""
    locked: set[str] = set()
    while True:
        rows = find()
        wanted = {row.thread_id for row in rows}
        if not lock_threads(connection, wanted - locked):
            return rows
        # Others may have begun some of them, or have ended them.
        locked |= wanted


def next_start(connection: Connection) -> str | None:
    """Return when the time comes of the next run that was put off."""
    query = select(runs.c.start_at).where(PUT_OFF).order_by(runs.c.start_at).limit(1)
    return connection.scalar(query)


def hand_back(connection: Connection, run_id: str) -> None:
    """Have a run wait for whoever goes on with it; that it was stopped is no death of it."""
    hold_back(connection, run_id)
    further = {"turn": GOES_ON, "holder": None, "shown": events.last_seq(run_id)}
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(**further))


def hold_back(connection: Connection, run_id: str) -> None:
    """Have a run wait that its holder puts back, when it is known which of its events count."""
    waits = {"status": status_after("running", "lease_lost"), "place": HANDED_BACK}
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(**waits))


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
