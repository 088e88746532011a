"""The statements of the way that every run goes: it is stored, and it ends."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, insert, literal_column, or_, select, update

from millstream.server.storage.prepared import Prepared
from millstream.server.storage.tables import (
    UNFINISHED,
    assistants,
    run_events,
    runs,
    thread_changes,
    threads,
)

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
    select(threads.c.metadata)
    .where(threads.c.thread_id == bindparam("id"))
    .with_for_update(key_share=True)
)
"""The metadata of a thread that is held, see `locks`."""
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
PRESENT: Final = Prepared(
    select(runs.c.run_id, runs.c.status).where(
        runs.c.thread_id == bindparam("thread_id"), UNFINISHED
    )
)
"""The runs of a thread that are under way."""
CHANGE: Final = Prepared(
    select(thread_changes.c.kind).where(thread_changes.c.thread_id == bindparam("id"))
)
ADD_CHANGE: Final = Prepared(insert(thread_changes), "thread_id", "kind", "begun_at")
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
    "started_at",
    "attempt",
    "is_resumable",
    "idempotency_key",
    "metadata",
    "kwargs",
)
BUSY_THREAD: Final = Prepared(
    update(threads).where(threads.c.thread_id == bindparam("id")), "status", "updated_at"
)
RUN: Final = Prepared(select(runs.c.status, runs.c.kwargs).where(runs.c.run_id == bindparam("id")))
END_RUN: Final = Prepared(
    update(runs).where(runs.c.run_id == bindparam("id")),
    "status",
    "updated_at",
    "ended_at",
    "error",
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


def due(time: Any, of: Any = runs) -> Any:
    """Return the condition that a run waits, and its time has come."""
    is_pending = of.c.status == literal_column("'pending'")
    return and_(is_pending, or_(of.c.start_at.is_(None), of.c.start_at <= time))


NEXT: Final = Prepared(
    select(runs.c.run_id)
    .where(runs.c.thread_id == bindparam("thread_id"), due(bindparam("time")))
    .order_by(runs.c.created_at, runs.c.run_id)
)
"""The runs of a thread whose turn it is."""
