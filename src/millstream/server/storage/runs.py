"""Queries about runs: functions of a connection, which run in one transaction each.

What becomes of a run is decided by `runs.lifecycle` and `runs.multitask`; here it is looked up and
written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Row, delete, exists, select, true, update

from millstream.server.errors import ApiError
from millstream.server.runs.lifecycle import (
    RunInput,
    status_after,
    thread_status_after,
)
from millstream.server.runs.multitask import BUSY, SUPERSEDING, Present, admit
from millstream.server.runs.turns import standing
from millstream.server.storage import changes, deliveries, events, queue, thread_readers
from millstream.server.storage import run_statements as statements
from millstream.server.storage.containment import Filters, allows, exact, is_of_others
from millstream.server.storage.locks import lock_threads_of
from millstream.server.storage.run_records import (
    Cancelled,
    Created,
    End,
    Finished,
    Holder,
    Job,
)
from millstream.server.storage.tables import UNFINISHED_RUN, runs, threads
from millstream.server.storage.threads import FOREVER, lifetime
from millstream.server.storage.times import moment, ms_of, now, stamp_of

if TYPE_CHECKING:
    from sqlalchemy import Select

    from millstream.server.runs.requests import NewRun, Plan

NO_MATCH: Final = (
    "No matching runs to cancel. Please verify the thread ID and run IDs are correct, and the runs "
    "haven't been deleted or completed."
)
NO_THREAD: Final = "Thread or assistant not found."
_SHOWN: Final = (
    runs.c.run_id,
    runs.c.thread_id,
    runs.c.assistant_id,
    runs.c.metadata,
    runs.c.status,
    runs.c.kwargs,
    runs.c.multitask_strategy,
    runs.c.created_at,
    runs.c.updated_at,
)
"""The columns that clients see, in their order."""


def create(
    connection: Connection,
    assistant_id: str,
    plan: Plan,
    filters: Filters | None,
    *,
    holder: Holder | None,
    is_read: Callable[[str], bool] | None = None,
) -> Created:
    """Store the run that is planned for an assistant, and start it if it can.

    `holder` is the replica that has a slot for it, None if there is none here. Where others may
    begin it as well, `is_read` says whether a run is read here, or waited for.
    """
    assistant = statements.ASSISTANT.first(connection, id=assistant_id)
    if assistant is None or is_of_others(assistant.metadata, filters):
        raise ApiError(404, NO_THREAD)
    new = plan(assistant._asdict(), moment(connection))
    if new.idempotency_key is not None:
        query = select(*_SHOWN).where(runs.c.idempotency_key == new.idempotency_key)
        known = _first(connection, query)
        if known is not None:
            return Created(shown(known), is_new=False)
    thread = _enter_thread(connection, new, filters)
    present = () if thread is None else _present(connection, new)
    admission = admit(new.strategy, present)
    if admission.is_rejected:
        raise ApiError(409, BUSY)
    by_id = {run.run_id: run for run in present}
    superseded = [
        _supersede(connection, by_id[run_id], new.thread_id, admission.by)
        for run_id in admission.superseded
    ]
    left = [run for run in present if run.run_id not in admission.superseded]
    waits_for_slot = (
        new.start_at is None
        and not any(run.is_running for run in superseded)
        and not any(run.is_ahead for run in left)
    )
    starts = holder is not None and waits_for_slot
    if starts and thread is not None:
        starts = not changes.is_still(connection, new.thread_id)
    row = _row_of(connection, new, holder if starts else None, waits_for_slot=waits_for_slot)
    # Who begins it later sees by itself whether its thread is read elsewhere.
    row["is_followed"] = is_read is not None and (
        thread_readers.are_elsewhere(connection, new.thread_id, holder.replica_id)
        if starts and holder is not None
        else is_read(new.run_id)
    )
    statements.ADD_RUN.run(connection, **row)
    said_ms = 0
    if thread is not None:
        _note_run(connection, new, thread.metadata)
        said_ms = ms_of(thread.state_updated_at)
    job = _begun(new, row, said_ms) if starts else None
    shown_run = {column.name: row[column.name] for column in _SHOWN}
    # Nobody has to know that it was started in the same breath.
    shown_run.update(status="pending", langsmith_session_name=None)
    return Created(shown_run, job, superseded, new.start_at)


def _row_of(
    connection: Connection, new: NewRun, holder: Holder | None, *, waits_for_slot: bool
) -> dict[str, Any]:
    starts = holder is not None
    settings = queue.settings_of(connection, new.thread_id, new.settings)
    priority, owner = standing(settings, new.priority, new.owner)
    turn = None
    if waits_for_slot and not starts:
        turn = queue.turn(connection, owner, priority)
    return {
        "run_id": new.run_id,
        "thread_id": new.thread_id,
        "assistant_id": new.assistant_id,
        "status": "running" if starts else "pending",
        "multitask_strategy": new.strategy,
        "created_at": new.created_at,
        "updated_at": new.created_at,
        "start_at": new.start_at,
        "due_at": new.created_at if new.start_at is None else None,
        "priority": priority,
        "owner": owner,
        "turn": turn,
        "started_at": new.created_at if starts else None,
        "attempt": 1 if starts else 0,
        "holder": holder and holder.replica_id,
        "revision": holder and holder.revision,
        "is_resumable": new.is_resumable,
        "idempotency_key": new.idempotency_key,
        "metadata": new.metadata,
        "kwargs": new.kwargs,
    }


def _begun(new: NewRun, row: Mapping[str, Any], said_ms: int) -> Job:
    ids = new.run_id, new.thread_id, new.assistant_id
    standing = {"priority": row["priority"], "is_followed": row["is_followed"]}
    return Job(*ids, new.kwargs, new.metadata, attempt=1, **standing, said_ms=said_ms)


def _enter_thread(connection: Connection, new: NewRun, filters: Filters | None) -> Any:
    """Return what is known of the thread of a new run, None if the thread was made for it."""
    if not new.is_stateless:
        found = statements.THREAD.first(connection, id=new.thread_id)
        if found is not None and allows(found.metadata, filters):
            return found
        if found is not None or not new.creates_thread:
            raise ApiError(404, NO_THREAD)
    time = new.created_at
    named = {"graph_id": new.graph_id, "assistant_id": new.assistant_id}
    statements.ADD_THREAD.run(
        connection,
        thread_id=new.thread_id,
        status="busy",
        created_at=time,
        updated_at=time,
        state_updated_at=time,
        is_temporary=bool(new.kwargs["temporary"]),
        metadata={**exact(filters), **new.marks, **named},
        config={},
        **{**FOREVER, **lifetime(time, None if new.kwargs["temporary"] else new.ttl)},
    )
    return None


def _present(connection: Connection, new: NewRun) -> list[Present]:
    """Return the runs that are under way on the thread of a new one, as far as they count."""
    of = {"thread_id": new.thread_id}
    if new.strategy in SUPERSEDING:
        found = statements.PRESENT.all(connection, **of)
    else:
        # However many wait, it waits for one of them.
        one = statements.AHEAD.first(connection, **of)
        one = one or statements.ONE_PRESENT.first(connection, **of)
        found = [one] if one else []
    return [
        # One that is being taken over goes on before all others.
        Present(row.run_id, row.status, row.turn is not None or row.holder is not None)
        for row in found
    ]


def _supersede(connection: Connection, run: Present, thread_id: str, by: RunInput) -> Cancelled:
    is_running = run.status == "running"
    if is_running:
        # Also if whoever carries it out ends before it has stopped. What is undone stays so.
        connection.execute(
            update(runs)
            .where(runs.c.run_id == run.run_id, runs.c.stop.is_distinct_from("rolled_back"))
            .values(stop=by)
        )
    else:
        _end_pending(connection, run.run_id, thread_id, by)
    return Cancelled(run.run_id, thread_id, by, is_running)


def _end_pending(connection: Connection, run_id: str, thread_id: str, by: RunInput) -> None:
    status = status_after("pending", by)
    if connection.scalar(select(threads.c.is_temporary).where(threads.c.thread_id == thread_id)):
        # Attempts before may have stored something.
        changes.leave_remains(connection, thread_id)
    if status == "deleted":
        remove(connection, run_id, thread_id)
    else:
        time = now(connection)
        connection.execute(
            update(runs)
            .where(runs.c.run_id == run_id)
            .values(status=status, updated_at=time, ended_at=time, turn=None, start_at=None)
        )


def _note_run(connection: Connection, new: NewRun, metadata: dict[str, Any]) -> None:
    """Note in a thread that was there that it is busy, and with what."""
    named = {"graph_id": new.graph_id, "assistant_id": new.assistant_id}
    if not metadata.items() >= named.items():
        connection.execute(
            update(threads)
            .where(threads.c.thread_id == new.thread_id)
            .values(metadata={**metadata, **named}, config={"configurable": {}})
        )
    statements.BUSY_THREAD.run(
        connection, id=new.thread_id, status="busy", updated_at=new.created_at
    )


def finish(
    connection: Connection,
    run_id: str,
    thread_id: str,
    end: End,
    *,
    holder: Holder | None,
    result: bytes | None = None,
) -> Finished:
    """Store the end of a run with what its thread has become, and start the thread's next run.

    `holder` is the replica that starts it, None if it has to wait for a slot. `result` is what
    those get who wait, which is stored for those who do so elsewhere. The thread is locked by who
    calls it, see `attempts.end`.
    """
    found = statements.RUN.first(connection, id=run_id)
    status = None if found is None else status_after(found.status, end.input)
    if found is None or status is None:
        return Finished(None)
    if status == "pending":
        return _hand_back(connection, run_id, end)
    # What is said next in this thread is later, see `log.event_ids`.
    time = max(now(connection), stamp_of(end.said_ms))
    # Whoever reads a stream that can be resumed may still come back for its end, and another
    # replica has not looked yet.
    is_kept = (found.kwargs["resumable"] or found.is_followed) and status != "deleted"
    webhook = found.kwargs.get("webhook")
    if status == "deleted":
        statements.DELETE_RUN.run(connection, id=run_id)
    elif is_kept or webhook or not found.kwargs["temporary"]:
        events.append(connection, run_id, end.unstored)
        statements.END_RUN.run(
            connection,
            id=run_id,
            status=status,
            updated_at=time,
            ended_at=time,
            error=end.error,
            result=result if found.is_followed else None,
        )
        if webhook:
            _tell(connection, run_id, webhook, end)
    if found.kwargs["temporary"]:
        changes.leave_remains(connection, thread_id)
        if not is_kept:
            statements.DELETE_THREAD.run(connection, id=thread_id)
            return Finished(status)
    waiting = queue.next_of(connection, thread_id, time)
    thread_status = thread_status_after(status, is_asking=end.is_asking)
    values: dict[str, Any] = {
        "status": thread_status if waiting is None else "busy",
        "updated_at": time,
        "state_updated_at": time,
        "error": end.error,
    }
    if end.is_kept:
        statements.FREE_THREAD.run(connection, id=thread_id, **values)
    else:
        values.update(interrupts=end.interrupts, values=end.values)
        statements.END_THREAD.run(connection, id=thread_id, **values)
    if waiting is None:
        return Finished(status)
    if holder is not None:
        return Finished(status, queue.begin(connection, waiting.run_id, time, holder))
    queue.enter(connection, waiting)
    return Finished(status, has_queued=True)


def _tell(connection: Connection, run_id: str, webhook: str, end: End) -> None:
    """Store what a webhook is to be told of the end of a run."""
    columns = (runs.c.started_at, runs.c.ended_at, threads.c["values"].label("known"))
    row = connection.execute(_visible((*_SHOWN, *columns), run_id, None)).one()
    body = {
        **shown(row),
        "run_started_at": row.started_at,
        "run_ended_at": row.ended_at,
        "webhook_sent_at": None,
        "values": row.known if end.is_kept else end.values,
    }
    if end.error is not None:
        body["error"] = end.error
    deliveries.add(connection, run_id, webhook, body)


def _hand_back(connection: Connection, run_id: str, end: End) -> Finished:
    events.append(connection, run_id, end.unstored)
    if end.is_uncertain:
        queue.hold_back(connection, run_id)
    else:
        events.keep(connection, run_id)
        queue.hand_back(connection, run_id)
    return Finished("pending")


def get(
    connection: Connection, run_id: str, thread_id: str | None, filters: Filters | None
) -> dict[str, Any] | None:
    """Return a run of a thread, or of any, as clients see it; None if there is none for them."""
    row = _first(connection, _visible(_SHOWN, run_id, thread_id))
    if row is None or not allows(row.thread_metadata, filters):
        return None
    return shown(row)


def outcome(
    connection: Connection, run_id: str, thread_id: str | None, filters: Filters | None
) -> Row[Any] | None:
    """Return status and error of a run, and what is in its thread."""
    columns = (
        runs.c.run_id,
        runs.c.thread_id,
        runs.c.status,
        runs.c.error,
        runs.c.is_resumable,
        threads.c["values"].label("thread_values"),
        threads.c.interrupts.label("thread_interrupts"),
    )
    row = _first(connection, _visible(columns, run_id, thread_id))
    return None if row is None or not allows(row.thread_metadata, filters) else row


def _visible(columns: Iterable[Any], run_id: str, thread_id: str | None) -> Select[Any]:
    query = (
        select(*columns, threads.c.metadata.label("thread_metadata"))
        .join(threads, threads.c.thread_id == runs.c.thread_id)
        .where(runs.c.run_id == run_id)
    )
    return query if thread_id is None else query.where(runs.c.thread_id == thread_id)


def list_runs(
    connection: Connection,
    thread_id: str,
    filters: Filters | None,
    *,
    status: str | None,
    limit: int,
    offset: int,
    is_oldest_first: bool = False,
) -> list[dict[str, Any]] | None:
    """Return the runs of a thread, the newest first; None if the caller may not see it."""
    thread = _first(connection, select(threads.c.metadata).where(threads.c.thread_id == thread_id))
    if thread is None or not allows(thread.metadata, filters):
        return None
    query = select(*_SHOWN).where(runs.c.thread_id == thread_id)
    if status is not None:
        query = query.where(runs.c.status == status)
    order = runs.c.created_at, runs.c.run_id
    query = query.order_by(*(order if is_oldest_first else (each.desc() for each in order)))
    rows = connection.execute(query.limit(limit).offset(offset)).all()
    return [shown(row) for row in rows]


def has_thread(connection: Connection, thread_id: str, filters: Filters | None) -> bool:
    """Say whether there is a thread that the caller may see."""
    row = _first(connection, select(threads.c.metadata).where(threads.c.thread_id == thread_id))
    return row is not None and allows(row.metadata, filters)


def cancel(
    connection: Connection,
    by: RunInput,
    filters: Filters | None,
    *,
    thread_id: str | None = None,
    run_ids: Sequence[str] | None = None,
    status: str | None = None,
) -> list[Cancelled]:
    """End the runs under way that wait, and return them with those that are to be stopped."""
    query = (
        select(
            runs.c.run_id,
            runs.c.thread_id,
            runs.c.status,
            threads.c.metadata.label("thread_metadata"),
        )
        .join(threads, threads.c.thread_id == runs.c.thread_id)
        .where(UNFINISHED_RUN)
    )
    if thread_id is not None:
        query = query.where(runs.c.thread_id == thread_id)
    if run_ids is not None:
        query = query.where(runs.c.run_id.in_(run_ids))
    if status not in (None, "all"):
        query = query.where(runs.c.status == status)
    lock_threads_of(connection, query.with_only_columns(runs.c.thread_id))
    rows = [row for row in connection.execute(query) if allows(row.thread_metadata, filters)]
    cancelled = [
        _supersede(connection, Present(row.run_id, row.status), row.thread_id, by) for row in rows
    ]
    time = now(connection)
    for id in {run.thread_id for run in cancelled if not run.is_running}:
        queue.free(connection, id, time)
        _free(connection, id)
    return cancelled


def _free(connection: Connection, thread_id: str) -> None:
    """Have a thread idle that nothing is done with any more."""
    if statements.ONE_PRESENT.first(connection, thread_id=thread_id) is None:
        connection.execute(
            update(threads)
            .where(threads.c.thread_id == thread_id, threads.c.status == "busy")
            .values(status="idle", updated_at=now(connection))
        )


def forget_temporary(connection: Connection, ended_before: str) -> None:
    """Delete the threads of stateless runs that nobody comes back for any more.

    It costs as much as there are such threads, however many runs there are.
    """
    is_over = exists().where(
        runs.c.thread_id == threads.c.thread_id, runs.c.ended_at < ended_before
    )
    # In the words of the index.
    connection.execute(delete(threads).where(threads.c.is_temporary == true(), is_over))


def remove(connection: Connection, run_id: str, thread_id: str) -> None:
    """Delete a run that has ended, with its events, and its thread if that was for it alone."""
    connection.execute(delete(runs).where(runs.c.run_id == run_id))
    changes.forget_empty(connection, thread_id)


def shown(row: Any) -> dict[str, Any]:
    """Return a run as clients see it."""
    run = {column.name: getattr(row, column.name) for column in _SHOWN}
    run["langsmith_session_name"] = None
    return run


def _first(connection: Connection, query: Select[Any]) -> Row[Any] | None:
    return connection.execute(query).first()
