"""The state of a thread, and its history."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from millstream.server import state
from millstream.server.api.bodies.threads import (
    Checkpoint,
    History,
    HistoryQuery,
    StateQuery,
    StateRequest,
    StateUpdate,
)
from millstream.server.api.routing import Call, operation, reply
from millstream.server.api.threads import keep
from millstream.server.errors import ApiError
from millstream.server.storage import threads as rows


@operation("GET", "/threads/{thread_id}/state", auth=("threads", "read"))
async def get(call: Call, query: StateQuery) -> Response:
    """Return the state of a thread."""
    return _json(await state.read(await _thread(call), None, subgraphs=query.subgraphs))


@operation("GET", "/threads/{thread_id}/state/{checkpoint_id}", auth=("threads", "read"))
async def get_at(call: Call, query: StateQuery) -> Response:
    """Return the state of a thread at a checkpoint."""
    place = {"checkpoint_id": call["checkpoint_id"]}
    return _json(await state.read(await _thread(call), place, subgraphs=query.subgraphs))


@operation("POST", "/threads/{thread_id}/state/checkpoint", auth=("threads", "read"))
async def get_at_checkpoint(call: Call, body: StateRequest) -> Response:
    """Return the state of a thread at a checkpoint, the newest if it names none."""
    thread = await _thread(call)
    return _json(await state.read(thread, _place(body.checkpoint), subgraphs=body.subgraphs))


@operation("POST", "/threads/{thread_id}/state", auth=("threads", "update"))
async def update(call: Call, body: StateUpdate) -> Response:
    """Write to the state of a thread as a node would."""
    thread = await _thread(call)
    place = _place(body.checkpoint) or {}
    if body.checkpoint_id is not None:
        place["checkpoint_id"] = body.checkpoint_id

    async def change() -> state.Updated:
        left = await state.update(thread, place, body.values, body.as_node)
        await keep(thread, left)
        return left

    left = await call.service.scheduler.changes.update(thread.thread_id, change)
    configurable = left.config["configurable"]
    shown = {key: configurable.get(key) for key in ("thread_id", "checkpoint_ns", "checkpoint_id")}
    return reply(
        {"checkpoint": shown, "configurable": shown, "checkpoint_id": shown["checkpoint_id"]}
    )


@operation("POST", "/threads/{thread_id}/history", auth=("threads", "read"))
async def history(call: Call, body: History) -> Response:
    """Return states of a thread, the newest first."""
    before = body.before
    if before is not None:
        before = before.get("configurable", before)
        if not isinstance(before, dict):
            raise ApiError(422, "before.configurable: a checkpoint is an object")
    return _json(
        await state.history(
            await _thread(call),
            _place(body.checkpoint),
            limit=body.limit,
            before=before,
            metadata=body.metadata,
        )
    )


@operation("GET", "/threads/{thread_id}/history", auth=("threads", "read"))
async def get_history(call: Call, query: HistoryQuery) -> Response:
    """Return states of a thread, the newest first."""
    before: dict[str, Any] | None = None
    if query.before:
        before = {"checkpoint_id": query.before}
        if query.before.startswith("{"):
            try:
                before = orjson.loads(query.before)
            except orjson.JSONDecodeError:
                raise ApiError(422, "before: neither the id of a checkpoint nor JSON") from None
            before = (before or {}).get("configurable", before)
    thread = await _thread(call)
    return _json(await state.history(thread, None, limit=query.limit, before=before, metadata={}))


async def _thread(call: Call) -> state.Thread:
    thread_id = call["thread_id"]
    metadata = await call.service.db.read(rows.metadata_of, thread_id, call.filters)
    return state.Thread(call.service, thread_id, metadata, call.user)


def _place(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    # Which thread is said by the path.
    return checkpoint.model_dump(exclude={"thread_id"}, exclude_none=True)


def _json(text: bytes) -> Response:
    return Response(text, media_type="application/json")
