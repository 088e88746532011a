"""An application of the user's around the API: its routes go first, its middleware is outside."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.routing import BaseRoute, Match, Router

from millstream.server.api.routing import needs_caller, refusal
from millstream.server.auth.guard import admit
from millstream.server.config import ServerConfig
from millstream.server.errors import ApiError
from millstream.server.graph_files import import_configured

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("millstream.server")

_OF_FASTAPI: Final = {"openapi", "swagger_ui_html", "swagger_ui_redirect", "redoc_html"}
"""Routes that FastAPI adds by itself: the server's own pages are about the whole."""


def load_custom(config: ServerConfig) -> Starlette | None:
    """Import the user's application."""
    target = config.http.app
    if target is None:
        return None
    called = "application of Starlette or FastAPI"
    return import_configured(config, "http.app", target, Starlette, called)


def surround(custom: Starlette, own: Sequence[BaseRoute], app: Starlette, http: Any) -> ASGIApp:
    """Return the user's application with the server's own routes below its own.

    `app` is what handlers of the server find their service in.
    """
    # It is its module's, and may have been served before.
    routes = [
        route
        for route in custom.routes
        if not isinstance(route, _Own) and getattr(route, "name", "") not in _OF_FASTAPI
    ]
    custom.user_middleware = [one for one in custom.user_middleware if not _is_admission(one.cls)]
    custom.middleware_stack = None
    is_first = http.middleware_order == "auth_first"
    admission = {
        "app_of_service": app,
        "routes": routes,
        "own": own,
        "asks_for_custom": http.enable_custom_route_auth,
        "asks_for_own": is_first,
    }
    custom.router.routes = [*routes, _Own(own, app)]
    custom.router.default = _not_found
    if is_first:
        return _Admission(custom, **admission)
    # The last one is the innermost.
    custom.user_middleware.append(Middleware(_Admission, **admission))
    return custom


def _is_admission(middleware: Any) -> bool:
    return middleware is _Admission


class _Own(BaseRoute):
    """The server's own routes, where none of the user's fits."""

    def __init__(self, routes: Sequence[BaseRoute], app: Starlette) -> None:
        self._routes = routes
        self._router = Router(routes)
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        fits = any(route.matches(scope)[0] is not Match.NONE for route in self._routes)
        return (Match.FULL, {}) if fits else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self._app
        await self._router(scope, receive, send)


class _Admission:
    """Asks who calls, before a route of the user's or the middleware of the user's is entered."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        app_of_service: Starlette,
        routes: Sequence[BaseRoute],
        own: Sequence[BaseRoute],
        asks_for_custom: bool,
        asks_for_own: bool,
    ) -> None:
        self._app = app
        self._state = app_of_service.state
        self._routes = routes
        self._own = own
        self._asks_for_custom = asks_for_custom
        self._asks_for_own = asks_for_own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._is_guarded(scope):
            await self._app(scope, receive, send)
            return
        is_http = scope["type"] == "http"
        connection = Request(scope, receive) if is_http else HTTPConnection(scope)
        service = self._state.service
        try:
            user = await admit(service.guard, connection)
            service.limits.count(connection, user)
        except ApiError as error:
            refused = refusal(error.status, error.detail, error.headers)
        except Exception:
            logger.exception("nobody can say who calls %s", connection.url.path)
            refused = refusal(500, "Internal Server Error")
        else:
            if user is not None:
                scope["user"], scope["auth"] = user, AuthCredentials(user.permissions)
            await self._app(scope, receive, send)
            return
        if is_http:
            await refused(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_guarded(self, scope: Scope) -> bool:
        if any(route.matches(scope)[0] is Match.FULL for route in self._routes):
            return self._asks_for_custom
        return self._asks_for_own and needs_caller(self._own, scope)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    await refusal(404, "Not Found")(scope, receive, send)
