"""Runs of threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.responses import Response

from millstream.server.api.bodies.runs import (
    CancelQuery,
    JoinQuery,
    RunCreate,
    RunListQuery,
    WaitQuery,
)
from millstream.server.api.routing import Call, empty, operation, reply
from millstream.server.api.run_creation import Creation, run_path
from millstream.server.encoding import dumps
from millstream.server.errors import ApiError, not_found
from millstream.server.log.event_ids import START, format_id, parse_id
from millstream.server.log.run_log import ERROR
from millstream.server.responses import AwaitedJson, EventStream
from millstream.server.runs.lifecycle import UNDER_WAY, RunInput
from millstream.server.runs.reading import FixedSource, RunSource, StoredSource
from millstream.server.runs.results import NOT_FOUND
from millstream.server.runs.runner import NOTHING
from millstream.server.sse import frame
from millstream.server.storage import events
from millstream.server.storage import runs as storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from millstream.server.log.event_ids import EventId
    from millstream.server.responses import Source

BY_ACTION: dict[str, RunInput] = {"interrupt": "interrupted", "rollback": "rolled_back"}


@operation(
    "POST",
    "/threads/{thread_id}/runs",
    auth=("threads", "create_run"),
    gives=("thread_id", "run_id"),
)
async def create_run(call: Call, body: RunCreate) -> Response:
    """Create a run, and answer at once."""
    creation = Creation(call, body, call["thread_id"])
    created = await creation.submit()
    return reply(created.run, headers={"content-location": creation.path})


@operation("POST", "/threads/{thread_id}/runs/stream", auth=("threads", "create_run"))
async def stream_run(call: Call, body: RunCreate) -> Response:
    """Create a run, and stream what it says."""
    return await Creation(call, body, call["thread_id"]).stream()


@operation("POST", "/threads/{thread_id}/runs/wait", auth=("threads", "create_run"))
async def wait_for_run(call: Call, body: RunCreate) -> Response:
    """Create a run, and answer with its result."""
    return await Creation(call, body, call["thread_id"]).wait()


@operation("GET", "/threads/{thread_id}/runs", auth=("threads", "read"))
async def list_runs(call: Call, query: RunListQuery) -> Response:
    """List the runs of a thread, the newest first."""
    found = await call.service.db.read(
        storage.list_runs,
        call["thread_id"],
        call.filters,
        status=query.status,
        limit=query.limit,
        offset=query.offset,
    )
    if found is None:
        raise not_found(f"Thread with ID {call['thread_id']}")
    if query.select:
        found = [{key: run[key] for key in query.select if key in run} for run in found]
    return reply(found)


@operation("GET", "/threads/{thread_id}/runs/{run_id}", auth=("threads", "read"))
async def get_run(call: Call) -> Response:
    """Return a run."""
    db, thread_id = call.service.db, call["thread_id"]
    run = await db.read(storage.get, call["run_id"], thread_id, call.filters)
    if run is None:
        if not await db.read(storage.has_thread, thread_id, call.filters):
            raise not_found(f"Thread with ID {thread_id}")
        raise ApiError(404, "Not Found")
    return reply(run)


@operation("DELETE", "/threads/{thread_id}/runs/{run_id}", auth=("threads", "delete"), status=204)
async def delete_run(call: Call) -> Response:
    """Delete a run; one that is under way is cancelled first."""
    service, run_id = call.service, call["run_id"]
    run = await service.db.read(storage.get, run_id, call["thread_id"], call.filters)
    if run is None:
        raise ApiError(404, "Not Found")
    await service.scheduler.cancel("interrupted", call.filters, run_ids=[run_id])
    await service.scheduler.stopped([run_id])
    await service.db.write(storage.remove, run_id, call["thread_id"])
    return empty()


@operation("GET", "/threads/{thread_id}/runs/{run_id}/join", auth=("threads", "read"))
async def join_run(call: Call, query: WaitQuery) -> Response:
    """Answer with the result of a run when it has ended."""
    await check_query(call, query)
    return join(call, query, call["thread_id"])


@operation("GET", "/threads/{thread_id}/runs/{run_id}/stream", auth=("threads", "read"))
async def join_stream(call: Call, query: JoinQuery) -> Response:
    """Stream what a run says, from now on or from an event on."""
    return await stream_again(call, query, call["thread_id"])


@operation("POST", "/threads/{thread_id}/runs/{run_id}/cancel", auth=("threads", "update"))
async def cancel_run(call: Call, query: CancelQuery) -> Response:
    """Cancel a run; with `wait` answer when it has stopped."""
    scheduler, run_id = call.service.scheduler, call["run_id"]
    cancelled = await scheduler.cancel(
        BY_ACTION[query.action], call.filters, thread_id=call["thread_id"], run_ids=[run_id]
    )
    if not cancelled:
        raise ApiError(404, storage.NO_MATCH)
    if not query.wait:
        return empty(202)

    async def wait() -> bytes:
        await scheduler.stopped([run_id])
        return NOTHING

    path = run_path(call, call["thread_id"], run_id)
    return AwaitedJson(wait, {"location": f"{path}/join", "content-location": path})


def join(call: Call, query: WaitQuery, thread_id: str | None) -> Response:
    """Answer with the result of a run, of a thread or any."""
    scheduler, run_id = call.service.scheduler, call["run_id"]
    path = run_path(call, thread_id, run_id)
    return AwaitedJson(
        lambda: scheduler.results.of(run_id, thread_id, call.filters),
        {"location": f"{path}/join", "content-location": path},
        on_disconnect=_canceller(call, query),
    )


async def stream_again(call: Call, query: JoinQuery, thread_id: str | None) -> Response:
    """Stream what a run says, of a thread or any."""
    await check_query(call, query)
    after = last_event_id(call, query.last_event_id)
    path = run_path(call, thread_id, call["run_id"])
    source = await source_of(call, query, thread_id, after)
    # Who comes back without having seen anything wants the same again.
    place = "" if query.last_event_id is None else f"?last_event_id={format_id(after or START)}"
    headers = {"location": f"{path}/stream{place}", "content-location": path}
    return EventStream(source, headers, on_disconnect=_canceller(call, query))


async def check_query(call: Call, query: WaitQuery) -> None:
    """Ask whether the caller, who may read a run, may also be who cancels it."""
    if query.cancel_on_disconnect:
        value = {key: UUID(id) for key, id in call.ids.items()}
        filters = await call.ask("threads", "update", {**value, "action": "interrupt"})
        if filters:
            run = await call.service.db.read(
                storage.get, call["run_id"], call.ids.get("thread_id"), filters
            )
            if run is None:
                raise ApiError(404, "Not Found")


def last_event_id(call: Call, otherwise: str | None = None) -> EventId | None:
    """Return the place that a client has come to, None if it wants what is said from now on."""
    text = call.request.headers.get("last-event-id", otherwise)
    if text is None:
        return None
    try:
        return parse_id(text)
    except ValueError as error:
        raise ApiError(422, str(error)) from None


async def source_of(
    call: Call, query: JoinQuery, thread_id: str | None, after: EventId | None
) -> Source:
    """Return what a run says, of a thread or any: from now on, or after an event."""
    service, run_id = call.service, call["run_id"]
    row = await service.db.read(storage.outcome, run_id, thread_id, call.filters)
    if row is None:
        return FixedSource(frame(ERROR, dumps(NOT_FOUND)))
    following = service.scheduler.elsewhere.following
    if row.status in UNDER_WAY and (place := await _place(call, row, after)) is not None:
        last, seq = place
        log = service.logs.open(run_id, row.thread_id, is_resumable=row.is_resumable, last=last)
        source = RunSource(service.db, log, log.last if seq is None else seq, query.stream_mode)
        following.add(run_id, row.thread_id)
        # It may have ended before its log was there to be closed.
        again = await service.db.read(storage.outcome, run_id, thread_id, call.filters)
        if again is None or again.status not in UNDER_WAY:
            following.end(run_id, row.thread_id)
            if after is not None and row.is_resumable:
                # The log knows no more than was stored when it was opened; by now all of it is.
                source.close()
                return StoredSource(service.db, run_id, after, query.stream_mode)
        return source
    if after is None or not row.is_resumable:
        return FixedSource()
    return StoredSource(service.db, run_id, after, query.stream_mode)


async def _place(call: Call, row: Any, after: EventId | None) -> tuple[EventId, int | None] | None:
    """Return the last event that may be read of a run under way, and from where it is read on.

    None for the latter is from now on; None if the run has ended meanwhile.
    """
    service, run_id = call.service, row.run_id
    last: EventId | None = START
    if service.logs.get(run_id) is None:
        if service.scheduler.elsewhere.replica is not None:
            last = await service.scheduler.elsewhere.following.join(run_id, row.thread_id)
        elif row.is_resumable:
            # It may wait to be gone on with, after attempts that have said something.
            last = await service.db.read(events.last_of, run_id)
    if last is None:
        return None
    seq = None
    if after is not None:
        log = service.logs.get(run_id)
        seq = None if log is None else log.seq_of(after)
        # What was read at another replica may not have come here yet.
        if log is None or seq is None or after[1] > log.last:
            seq = max(seq or 0, await service.db.read(events.place_of, run_id, after))
    return last, seq


def _canceller(call: Call, query: WaitQuery) -> Callable[[], object] | None:
    if not query.cancel_on_disconnect:
        return None
    return partial(call.service.scheduler.cancel_soon, call["run_id"])
