"""Threads as streams of protocol events, and commands: version 3 of the streaming API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response

from millstream.server.api.routing import Call, operation, reply
from millstream.server.errors import ApiError, not_found
from millstream.server.responses import EventStream
from millstream.server.storage import runs as storage
from millstream.server.v3.asking import AskedCommand
from millstream.server.v3.commands import answer, is_command
from millstream.server.v3.protocol import EventFilter, Place, ProtocolError
from millstream.server.v3.source import ProtocolSource


@operation(
    "POST",
    "/threads/{thread_id}/commands",
    auth=lambda asked: asked.auth,
    asked=AskedCommand,
    takes_names=True,
)
async def send_command(call: Call, body: Any) -> Response:
    """Carry out a command of the protocol in a thread, which need not exist before."""
    try:
        thread_id = str(UUID(call["thread_id"]))
    except ValueError:
        thread_id = ""
    if not thread_id and is_command(body):
        # With the command's id: clients look for it in the answer.
        error = {"error": "unknown_error", "message": "422: Invalid thread ID"}
        return reply({"type": "error", "id": body["id"], **error})
    return reply(await answer(call, thread_id, body), 200 if is_command(body) else 400)


@operation("POST", "/threads/{thread_id}/stream/events", auth=("threads", "read"))
async def stream_events(call: Call, body: Any) -> Response:
    """Stream the protocol events of a thread: those that are kept, and what comes from now on."""
    return EventStream(await open_source(call, call["thread_id"], body))


async def open_source(
    call: Call, thread_id: str, params: Any, last_event_id: str | None = None
) -> ProtocolSource:
    """Return the events of a thread that a client asks for."""
    if not isinstance(params, dict):
        raise ApiError(400, "The body must be an object with channels")
    header = call.request.headers.get("last-event-id") if last_event_id is None else last_event_id
    try:
        wanted, place = EventFilter(params), Place.of(params, header)
    except ProtocolError as error:
        raise ApiError(400, error.message) from None
    service, filters = call.service, call.filters

    async def may_see() -> bool:
        return bool(await service.db.read(storage.has_thread, thread_id, filters))

    # A thread that does not exist yet is waited for; one of somebody else does exist.
    is_hidden = filters is not None and not await may_see()
    if is_hidden and await service.db.read(storage.has_thread, thread_id, None):
        raise not_found(f"Thread with ID {thread_id}")
    checked = None if filters is None else may_see
    return ProtocolSource(service.db, service.logs, thread_id, wanted, place, checked)
