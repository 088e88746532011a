"""Threads: what runs go on from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

from langchain_core.utils.uuid import uuid7
from starlette.responses import Response

from millstream.server import sizes, state
from millstream.server.api.bodies.threads import (
    ThreadCount,
    ThreadCreate,
    ThreadPatch,
    ThreadPrune,
    ThreadQuery,
    ThreadSearch,
    Ttl,
)
from millstream.server.api.routing import Call, empty, operation, reply, uuid_of
from millstream.server.deletion import delete_thread, remove
from millstream.server.errors import ApiError
from millstream.server.extraction import extract, parse
from millstream.server.persistence import copy_thread
from millstream.server.runs.changes import holder_here
from millstream.server.storage import changes
from millstream.server.storage import threads as rows


@operation("POST", "/threads", auth=("threads", "create"), gives=("thread_id",))
async def create(call: Call, body: ThreadCreate) -> Response:
    """Make a thread, with a state if there are supersteps."""
    thread_id = uuid_of(body.thread_id, "thread")
    metadata = dict(body.metadata)
    if body.graph_id is not None:
        metadata["graph_id"] = body.graph_id
    thread = state.Thread(call.service, thread_id, metadata, call.user)
    if body.supersteps and thread.graph_id is None:
        raise ApiError(400, state.no_graph(thread_id))
    filters = call.filters
    if body.if_exists != "raise":
        # What is answered with may be there already.
        filters = await call.ask("threads", "read", {"thread_id": UUID(thread_id)})
    make: dict[str, Any] = {
        "metadata": metadata,
        "ttl": _ttl(body.ttl) or call.service.config.ttl_of_threads,
        "must_be_new": body.if_exists == "raise",
        "filters": filters,
    }
    if body.supersteps:
        return reply(await _make_with_state(thread, make, body))
    return reply(await call.service.db.write(rows.create, thread_id, **make))


@operation("POST", "/threads/search", auth=("threads", "search"))
async def search(call: Call, body: ThreadSearch) -> Response:
    """Find threads."""
    paths = {alias: parse(path) for alias, path in body.extract.items()}
    wanted = body.model_dump(exclude={"extract"})
    if body.ids is not None:
        wanted["ids"] = [uuid_of(id, "thread") for id in body.ids]
    needed = [str(steps[0]) for steps in paths.values()]
    page = await call.service.db.read(rows.search, **wanted, needed=needed, filters=call.filters)
    shown = page.rows
    if paths:
        shown = [
            {
                **{key: row[key] for key in row if body.select is None or key in body.select},
                "extracted": {alias: extract(row, steps) for alias, steps in paths.items()},
            }
            for row in page.rows
        ]
    return reply(shown, headers=page.headers)


@operation("POST", "/threads/count", auth=("threads", "search"))
async def count(call: Call, body: ThreadCount) -> Response:
    """Count threads."""
    found = await call.service.db.read(rows.count_all, **body.model_dump(), filters=call.filters)
    return reply(found)


@operation("POST", "/threads/prune", auth=("threads", "delete"))
async def prune(call: Call, body: ThreadPrune) -> Response:
    """Delete threads, or all of their checkpoints but the newest."""
    service = call.service
    pruned = 0
    for thread_id in [uuid_of(id, "thread") for id in body.thread_ids]:
        if body.strategy == "delete":
            pruned += await delete_thread(service, thread_id, call.filters)
        elif await service.db.read(rows.get, thread_id, filters=call.filters) is not None:
            try:
                await service.run_loop.call(service.journal.aprune([thread_id]))
            except NotImplementedError:
                raise ApiError(501, "The checkpointer of this server cannot prune") from None
            pruned += 1
    return reply({"pruned_count": pruned})


@operation("GET", "/threads/{thread_id}", auth=("threads", "read"))
async def get(call: Call, query: ThreadQuery) -> Response:
    """Return a thread."""
    found = await call.service.db.read(
        rows.need,
        call["thread_id"],
        with_ttl="ttl" in query.include,
        is_unread=True,
        filters=call.filters,
    )
    return reply(found)


@operation("PATCH", "/threads/{thread_id}", auth=("threads", "update"))
async def patch(call: Call, body: ThreadPatch) -> Response:
    """Lay metadata over those of a thread, or give it another time to live."""
    changed = await call.service.db.write(
        rows.patch,
        call["thread_id"],
        metadata=body.metadata,
        ttl=_ttl(body.ttl),
        filters=call.filters,
    )
    wishes = call.request.headers.get("prefer", "")
    return empty() if "return=minimal" in wishes.replace(" ", "") else reply(changed)


@operation("DELETE", "/threads/{thread_id}", auth=("threads", "delete"), status=204)
async def delete(call: Call) -> Response:
    """Delete a thread; what runs on it is cancelled."""
    await delete_thread(call.service, call["thread_id"], call.filters, may_be_gone=False)
    return empty()


@operation("POST", "/threads/{thread_id}/copy", auth=("threads", "read"), gives=("thread_id",))
async def copy(call: Call) -> Response:
    """Make a thread of what another one has."""
    service = call.service
    new_id = str(uuid7())
    metadata = await service.db.read(rows.metadata_of, call["thread_id"], call.filters)
    made: dict[str, Any] = {"thread_id": UUID(new_id), "metadata": dict(metadata)}
    await call.ask("threads", "create", made)

    async def make_copy(_: None) -> dict[str, Any]:
        try:
            await service.run_loop.call(copy_thread(service.journal, call["thread_id"], new_id))
            return await service.db.write(
                rows.copy,
                call["thread_id"],
                new_id,
                made["metadata"],
                call.filters,
                holder=holder_here(),
            )
        except BaseException:
            # What is copied already is nobody's.
            await service.run_loop.call(service.journal.adelete_thread(new_id))
            raise

    begin = partial(changes.begin, thread_id=new_id, kind="creation")
    copied = await service.scheduler.changes.during(new_id, begin, make_copy)
    return reply(copied)


@operation("GET", "/threads/{thread_id}/storage", auth=("threads", "read"))
async def storage(call: Call) -> Response:
    """Tell how much a thread takes."""
    service = call.service
    await service.db.read(rows.metadata_of, call["thread_id"], call.filters)
    return reply(await asyncio.to_thread(sizes.report, service.journal, call["thread_id"]))


async def _make_with_state(
    thread: state.Thread, make: Mapping[str, Any], body: ThreadCreate
) -> dict[str, Any]:
    service = thread.service
    steps = [step.model_dump() for step in body.supersteps]

    async def fill(is_new: bool) -> None:
        try:
            await keep(thread, await state.write_supersteps(thread, steps))
        except BaseException:
            # A thread without the state that was asked for is of no use.
            if is_new:
                await remove(service, thread.thread_id)
            raise

    begin = partial(rows.create_to_fill, thread_id=thread.thread_id, **make)
    await service.scheduler.changes.during(thread.thread_id, begin, fill, holds_runs=True)
    return await service.db.read(rows.need, thread.thread_id)


async def keep(thread: state.Thread, left: state.Updated) -> None:
    """Keep what an update has left with the thread's row, and tell who reads the thread."""
    await thread.service.db.write(
        rows.set_state,
        thread.thread_id,
        values=left.values,
        interrupts=left.interrupts,
        is_asking=bool(left.interrupts),
        holder=holder_here(),
    )
    if left.told is not None:
        thread.service.logs.tell_state(thread.thread_id, left.told)
    thread.service.scheduler.elsewhere.tell_state(thread.thread_id)


def _ttl(given: Ttl | None) -> dict[str, Any] | None:
    return None if given is None else given.model_dump()
