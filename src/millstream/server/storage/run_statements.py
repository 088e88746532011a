"""The statements of the way that every run goes: it is stored, and it ends."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ColumnElement,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from millstream.server.runs.turns import GOES_ON
from millstream.server.storage.prepared import Prepared
from millstream.server.storage.tables import (
    GOING_ON,
    PUT_OFF,
    QUEUED,
    STILL,
    UNFINISHED,
    assistants,
    replicas,
    run_events,
    runs,
    thread_changes,
    threads,
)

_ONE: Final[ColumnElement[int]] = literal_column("1")
_NONE: Final[ColumnElement[int]] = literal_column("0")
"""Said for SQLAlchemy, which else says it to SQLite with a value of its own."""

ASSISTANT: Final = Prepared(
    select(
        assistants.c.assistant_id,
        assistants.c.graph_id,
        assistants.c.metadata,
        assistants.c.config,
        assistants.c.context,
    ).where(assistants.c.assistant_id == bindparam("id"))
)
THREAD: Final = Prepared(
    select(threads.c.metadata, threads.c.state_updated_at)
    .where(threads.c.thread_id == bindparam("id"))
    .with_for_update(key_share=True)
)
"""A thread that is locked, see `locks`."""
SETTINGS: Final = Prepared(
    select(threads.c.priority, threads.c.fairness_group, threads.c.metadata).where(
        threads.c.thread_id == bindparam("id")
    )
)
SETTLE: Final = Prepared(
    update(threads).where(threads.c.thread_id == bindparam("id")), "priority", "fairness_group"
)
ADD_THREAD: Final = Prepared(
    insert(threads),
    "thread_id",
    "status",
    "created_at",
    "updated_at",
    "state_updated_at",
    "is_temporary",
    "metadata",
    "config",
    "ttl_strategy",
    "ttl_minutes",
    "expires_at",
)
_PRESENT: Final = select(runs.c.run_id, runs.c.status, runs.c.turn, runs.c.holder).where(
    runs.c.thread_id == bindparam("thread_id"), UNFINISHED
)
PRESENT: Final = Prepared(_PRESENT)
"""The runs of a thread that are under way."""
# What is said to be the only one is looked for no further: drivers read ahead.
ONE_PRESENT: Final = Prepared(_PRESENT.limit(_ONE).offset(_NONE))
"""One of them."""
AHEAD: Final = Prepared(
    _PRESENT.where(
        or_(runs.c.status == literal_column("'running'"), QUEUED, runs.c.holder.is_not(None))
    )
    .limit(_ONE)
    .offset(_NONE)
)
"""The one that others of its thread wait for."""
CHANGE: Final = Prepared(
    select(thread_changes.c.kind).where(thread_changes.c.thread_id == bindparam("id"))
)
ADD_CHANGE: Final = Prepared(insert(thread_changes), "thread_id", "kind", "begun_at", "holder")
END_CHANGE: Final = Prepared(
    delete(thread_changes).where(thread_changes.c.thread_id == bindparam("id"))
)
END_OWN_CHANGE: Final = Prepared(
    delete(thread_changes).where(
        thread_changes.c.thread_id == bindparam("id"),
        thread_changes.c.holder == bindparam("holder"),
    )
)
END_REMAINS: Final = Prepared(
    delete(thread_changes).where(
        thread_changes.c.thread_id == bindparam("id"),
        thread_changes.c.kind == literal_column("'remains'"),
    )
)
ADD_RUN: Final = Prepared(
    insert(runs),
    "run_id",
    "thread_id",
    "assistant_id",
    "status",
    "multitask_strategy",
    "created_at",
    "updated_at",
    "start_at",
    "due_at",
    "priority",
    "owner",
    "turn",
    "started_at",
    "attempt",
    "holder",
    "revision",
    "is_resumable",
    "is_followed",
    "idempotency_key",
    "metadata",
    "kwargs",
)
BUSY_THREAD: Final = Prepared(
    update(threads).where(threads.c.thread_id == bindparam("id")), "status", "updated_at"
)
BUSY_AGAIN: Final = Prepared(
    update(threads).where(
        threads.c.thread_id == bindparam("id"), threads.c.status != literal_column("'busy'")
    ),
    "status",
    "updated_at",
)
RUN: Final = Prepared(
    select(runs.c.status, runs.c.is_followed, runs.c.kwargs).where(runs.c.run_id == bindparam("id"))
)
END_RUN: Final = Prepared(
    update(runs).where(runs.c.run_id == bindparam("id")),
    "status",
    "updated_at",
    "ended_at",
    "error",
    "result",
)
DELETE_RUN: Final = Prepared(delete(runs).where(runs.c.run_id == bindparam("id")))
DELETE_THREAD: Final = Prepared(delete(threads).where(threads.c.thread_id == bindparam("id")))
FREE_THREAD: Final = Prepared(
    update(threads).where(threads.c.thread_id == bindparam("id")),
    "status",
    "updated_at",
    "state_updated_at",
    "error",
)
END_THREAD: Final = Prepared(
    update(threads).where(threads.c.thread_id == bindparam("id")),
    "status",
    "updated_at",
    "state_updated_at",
    "error",
    "interrupts",
    "values",
)
ADD_EVENT: Final = Prepared(insert(run_events), "run_id", "seq", "ms", "mode", "needs", "frame")


_IS_PENDING: Final = runs.c.status == literal_column("'pending'")
_IS_DUE: Final = or_(runs.c.start_at.is_(None), runs.c.start_at <= bindparam("time"))

_ENTERS: Final = (
    runs.c.run_id,
    runs.c.thread_id,
    runs.c.owner,
    runs.c.priority,
    runs.c.start_at,
    runs.c.due_at,
)
"""What a run has that enters the queue."""

NEXT: Final = Prepared(
    select(*_ENTERS)
    .where(runs.c.thread_id == bindparam("thread_id"), UNFINISHED, _IS_PENDING, _IS_DUE)
    .order_by(runs.c.created_at, runs.c.run_id)
    .limit(_ONE)
    .offset(_NONE)
)
"""The oldest run of a thread that may begin when nothing else of it goes on."""
FIRST_TURN: Final = Prepared(
    select(runs.c.turn)
    .where(
        QUEUED, runs.c.turn > literal_column(str(GOES_ON)), runs.c.priority == bindparam("priority")
    )
    .order_by(runs.c.turn)
    .limit(_ONE)
    .offset(_NONE)
)
"""The turn that runs of a priority have come to."""
OWN_TURN: Final = Prepared(
    select(runs.c.turn)
    .where(QUEUED, runs.c.owner == bindparam("owner"), runs.c.priority == bindparam("priority"))
    .order_by(runs.c.turn.desc())
    .limit(_ONE)
    .offset(_NONE)
)
"""The last turn that an owner has among the runs of a priority."""
_IN_TURN: Final = (runs.c.turn, runs.c.due_at, runs.c.run_id)
_WAITING: Final = (runs.c.priority, *_IN_TURN, runs.c.thread_id, runs.c.revision)
_MAY_BEGIN: Final = ~exists().where(
    thread_changes.c.thread_id == runs.c.thread_id,
    thread_changes.c.kind.in_([literal_column(f"'{kind}'") for kind in STILL]),
)
NEXT_PRIORITY: Final = Prepared(
    select(*_WAITING)
    .where(QUEUED, _MAY_BEGIN, runs.c.priority > bindparam("after"))
    .order_by(runs.c.priority, *_IN_TURN)
    .limit(_ONE)
    .offset(_NONE)
)
"""The next of the runs in the queue, of those less urgent than a priority."""
OF_PRIORITY: Final = Prepared(
    select(*_WAITING)
    .where(QUEUED, _MAY_BEGIN, runs.c.priority == bindparam("priority"))
    .order_by(*_IN_TURN)
    .limit(bindparam("most"))
    .offset(_NONE)
)
"""The runs of a priority in the queue, in their turns."""
NOT_BEGUN: Final = Prepared(
    select(*_WAITING)
    .where(
        QUEUED,
        _MAY_BEGIN,
        runs.c.priority == bindparam("priority"),
        runs.c.turn > literal_column(str(GOES_ON)),
    )
    .order_by(*_IN_TURN)
    .limit(bindparam("most"))
    .offset(_NONE)
)
"""Those of them that have not begun before."""
NEXT_REVISION: Final = Prepared(
    select(runs.c.revision)
    .where(GOING_ON, runs.c.revision > bindparam("after"))
    .order_by(runs.c.revision)
    .limit(_ONE)
    .offset(_NONE)
)
"""The next of the revisions that have begun runs which wait to be gone on with."""
_GOES_ON: Final = (
    select(*_WAITING)
    .where(GOING_ON, _MAY_BEGIN)
    .order_by(runs.c.priority, runs.c.due_at, runs.c.run_id)
    .limit(bindparam("most"))
    .offset(_NONE)
)
OF_REVISION: Final = Prepared(_GOES_ON.where(runs.c.revision == bindparam("revision")))
"""The runs that wait to be gone on with and that a revision has begun."""
OF_NO_REVISION: Final = Prepared(_GOES_ON.where(runs.c.revision.is_(None)))
"""Those of which it is not known."""
LIVING: Final = Prepared(
    select(replicas.c.revision, replicas.c.started_at).where(
        replicas.c.slots > _NONE,
        replicas.c.lease_until >= func.extract("epoch", func.clock_timestamp()),
    )
)
"""The replicas that carry out runs."""
ENTER: Final = Prepared(
    update(runs).where(runs.c.run_id == bindparam("id")), "turn", "due_at", "start_at"
)
WAITING: Final = Prepared(
    select(
        runs.c.run_id,
        runs.c.thread_id,
        runs.c.assistant_id,
        runs.c.priority,
        runs.c.attempt,
        runs.c.started_at,
        runs.c.is_resumable,
        runs.c.is_followed,
        runs.c.stop,
        threads.c.state_updated_at,
        runs.c.metadata,
        runs.c.kwargs,
    )
    .join(threads, threads.c.thread_id == runs.c.thread_id)
    .where(runs.c.run_id == bindparam("id"))
    # Who wants to follow it comes before, or waits until it has begun.
    .with_for_update(key_share=True, of=runs)
)
"""What is carried out."""
BEGIN: Final = Prepared(
    update(runs).where(runs.c.run_id == bindparam("id")),
    "status",
    "started_at",
    "attempt",
    "holder",
    "revision",
    "is_followed",
    "turn",
    "start_at",
)
DUE: Final = Prepared(
    select(*_ENTERS)
    .where(PUT_OFF, runs.c.start_at <= bindparam("time"))
    .order_by(runs.c.start_at)
    .limit(bindparam("most"))
    .offset(_NONE)
)
"""The runs that were put off whose time has come."""
