"""Threads as streams of protocol events, and commands: version 3 of the streaming API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response

from millstream.server.api.routing import Call, operation, reply
from millstream.server.errors import ApiError
from millstream.server.responses import EventStream
from millstream.server.v3.asking import AskedCommand
from millstream.server.v3.commands import answer, is_command
from millstream.server.v3.protocol import ProtocolError
from millstream.server.v3.source import open_source


@operation(
    "POST",
    "/threads/{thread_id}/commands",
    auth=lambda asked: asked.auth,
    asked=AskedCommand,
    takes_names=True,
)
async def send_command(call: Call, body: Any) -> Response:
    """Carry out a command of the protocol in a thread, which need not exist before."""
    if not is_command(body):
        return reply(await answer(call, "", body), 400)
    try:
        thread_id = str(UUID(call["thread_id"]))
    except ValueError:
        # With the command's id: clients look for it in the answer.
        error = {"error": "unknown_error", "message": "422: Invalid thread ID"}
        return reply({"type": "error", "id": body["id"], **error})
    return reply(await answer(call, thread_id, body))


@operation("POST", "/threads/{thread_id}/stream/events", auth=("threads", "read"))
async def stream_events(call: Call, body: Any) -> Response:
    """Stream the protocol events of a thread: those that are kept, and what comes from now on."""
    last = call.request.headers.get("last-event-id")
    try:
        source = await open_source(call, call["thread_id"], body, last)
    except ProtocolError as error:
        raise ApiError(400, error.message) from None
    return EventStream(source, among=call.service.endless)
