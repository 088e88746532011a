"""Runs without a thread that anybody knows of, and what is done with runs of any thread."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from millstream.server.api.bodies.base import ListOf
from millstream.server.api.bodies.runs import (
    CancelMany,
    CancelManyQuery,
    JoinQuery,
    RunCreate,
    WaitQuery,
)
from millstream.server.api.routing import Call, empty, operation, reply, uuid_of
from millstream.server.api.run_creation import Creation
from millstream.server.api.runs import BY_ACTION, check_query, join, stream_again
from millstream.server.errors import ApiError
from millstream.server.storage.runs import NO_MATCH

MAX_BATCH = 1000
"""How many runs can be created together."""


@operation("POST", "/runs", auth=("threads", "create_run"), gives=("thread_id", "run_id"))
async def create_stateless_run(call: Call, body: RunCreate) -> Response:
    """Create a run without a thread, and answer at once."""
    creation = Creation(call, body)
    created = await creation.submit()
    return reply(created.run, headers={"content-location": creation.path})


@operation("POST", "/runs/stream", auth=("threads", "create_run"))
async def stream_stateless_run(call: Call, body: RunCreate) -> Response:
    """Create a run without a thread, and stream what it says."""
    return await Creation(call, body).stream()


@operation("POST", "/runs/wait", auth=("threads", "create_run"))
async def wait_for_stateless_run(call: Call, body: RunCreate) -> Response:
    """Create a run without a thread, and answer with its result."""
    return await Creation(call, body).wait()


@operation("POST", "/runs/batch", auth=("threads", "create_run"))
async def create_batch(
    call: Call, body: Annotated[ListOf[RunCreate], Field(max_length=MAX_BATCH)]
) -> Response:
    """Create runs without threads, and answer at once."""
    calls = call.parts or [call] * len(body)
    creations = [
        Creation(each, run, nth=nth)
        for nth, (each, run) in enumerate(zip(calls, body, strict=True))
    ]
    if body:
        call.service.limits.count_runs(call.request, call.user, len(body))
    return reply([(await creation.submit()).run for creation in creations])


@operation("POST", "/runs/cancel", auth=("threads", "update"), status=204)
async def cancel_runs(call: Call, query: CancelManyQuery, body: CancelMany) -> Response:
    """Cancel the runs of a status, or some runs of a thread."""
    is_by_id = body.thread_id is not None or body.run_ids is not None
    if is_by_id == (body.status is not None):
        raise ApiError(422, "Give either status, or thread_id and run_ids")
    thread_id = None if body.thread_id is None else uuid_of(body.thread_id, "thread")
    run_ids = None if body.run_ids is None else [uuid_of(id, "run") for id in body.run_ids]
    cancelled = await call.service.scheduler.cancel(
        BY_ACTION[query.action],
        call.filters,
        thread_id=thread_id,
        run_ids=run_ids,
        status=body.status,
    )
    if not cancelled:
        raise ApiError(404, NO_MATCH if is_by_id else "No runs found to cancel.")
    return empty()


@operation("GET", "/runs/{run_id}/join", auth=("threads", "read"))
async def join_stateless_run(call: Call, query: WaitQuery) -> Response:
    """Answer with the result of a run when it has ended."""
    await check_query(call, query)
    return join(call, query, None)


@operation("GET", "/runs/{run_id}/stream", auth=("threads", "read"))
async def join_stateless_stream(call: Call, query: JoinQuery) -> Response:
    """Stream what a run says, from now on or from an event on."""
    return await stream_again(call, query, None)
