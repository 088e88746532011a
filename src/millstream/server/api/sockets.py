"""WebSockets of the API: guarded like operations, before the handshake is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from millstream.server.api.asking import ask
from millstream.server.api.event_streaming import send_command, stream_events
from millstream.server.api.routing import (
    OPERATIONS,
    Call,
    Operation,
    enter_sealing,
    refusal,
    uuid_of,
)
from millstream.server.auth.guard import admit
from millstream.server.errors import ApiError
from millstream.server.log_lines import log_request
from millstream.server.v3.source import admitted
from millstream.server.v3.websocket import Connection


class EventSocket:
    """The ASGI application of a thread's WebSocket: events and commands in one connection."""

    def __init__(self, events: Operation, commands: Operation) -> None:
        self.events: Final = events
        self.commands: Final = commands

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        websocket = WebSocket(scope, receive, send)
        # A handshake is a request: whoever looks at one is given it as such.
        request = Request({**scope, "type": "http", "method": "GET"})
        began, status = monotonic(), 101
        try:
            call = await self._call(request, scope["path_params"])
        except ApiError as error:
            status = error.status
            denial = refusal(error.status, error.detail, error.headers)
            await websocket.send_denial_response(denial)
            return
        else:
            await Connection(call, self.commands, websocket).serve()
        finally:
            service = request.app.state.service
            service.limits.end(request.scope)
            log_request(request, status, began, service.logging_headers)

    async def _call(self, request: Request, params: Mapping[str, str]) -> Call:
        check_origin(request)
        call = Call(request, request.app.state.service, self.events, {})
        limits = call.service.limits
        limits.check_headers(request.scope)
        call.user = await admit(call.service.guard, request)
        limits.count(request, call.user)
        call.ids = {**params, "thread_id": uuid_of(params["thread_id"], "thread")}
        if not call.service.guard.is_open:
            await ask(call, None, None)
            await admitted(call, call["thread_id"])
        limits.open_stream(request, call.user)
        await enter_sealing(call)
        return call


def check_origin(request: Request) -> None:
    """Refuse pages of other origins than the configuration names: browsers do not ask for these."""
    cors = request.app.state.service.config.http.cors or {}
    pattern, origin = cors.get("allow_origin_regex"), request.headers.get("origin")
    allowed = cors.get("allow_origins", [] if pattern else ["*"])
    is_allowed = (
        origin is None
        or "*" in allowed
        or origin in allowed
        or (pattern is not None and re.fullmatch(pattern, origin) is not None)
    )
    if not is_allowed:
        raise ApiError(403, f"Pages from {origin} may not open WebSockets here")


def sockets(disabled: frozenset[str] = frozenset()) -> list[WebSocketRoute]:
    """Return the routes of all WebSockets, but for those of resources that are disabled."""
    by_handler = {known.handler: known for known in OPERATIONS}
    events, commands = by_handler[stream_events], by_handler[send_command]
    if events.tag in disabled:
        return []
    return [WebSocketRoute(events.path, EventSocket(events, commands))]
