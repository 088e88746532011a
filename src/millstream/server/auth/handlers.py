"""The handlers of a `langgraph_sdk.Auth`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langgraph_sdk import Auth
from starlette.exceptions import HTTPException

from millstream.server.auth.cache import UserCache
from millstream.server.auth.guard import Guard
from millstream.server.auth.user import User, as_user
from millstream.server.errors import ApiError, ConfigError
from millstream.server.storage.containment import check_filters

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from millstream.server.auth.guard import ReadBody
    from millstream.server.config import AuthCacheConfig
    from millstream.server.storage.containment import Filters

logger = logging.getLogger("millstream.server")

_KNOWN = (
    "request",
    "body",
    "path",
    "method",
    "path_params",
    "query_params",
    "headers",
    "authorization",
)
NOBODY = User(identity="", display_name="", is_authenticated=False, permissions=[])
"""Who calls where there are handlers for what callers may do, and none for who they are."""


class HandlerGuard(Guard):
    """Asks the handlers of an `Auth`."""

    is_open = False

    def __init__(self, auth: Auth, cached: AuthCacheConfig | None = None) -> None:
        """Take handlers as they are now; `ConfigError` if one wants what there is not."""
        self._authenticate = auth._authenticate_handler
        self._handlers = dict(auth._handlers)
        self._global = list(auth._global_handlers)
        self._wanted = _parameters(self._authenticate)
        self._cache = None if cached is None else UserCache(cached, self._wanted)
        if cached is not None and (unseen := {"request", "body"} & {*self._wanted}):
            self._cache = None
            logger.warning(
                "auth.cache is set, and nobody is kept: the authenticate handler %s has %s, which "
                "may tell it anything; let it have headers instead",
                _name(self._authenticate),
                " and ".join(sorted(unseen)),
            )

    async def authenticate(
        self, connection: HTTPConnection, read_body: ReadBody | None = None
    ) -> User | None:
        """Ask the authenticate handler."""
        handler: Any = self._authenticate
        if handler is None:
            return NOBODY
        key = None if self._cache is None else self._cache.key_of(connection)
        known = None if self._cache is None else self._cache.get(key)
        if known is not None:
            return known
        given = {name: _given(name, connection) for name in self._wanted if name != "body"}
        if "body" in self._wanted:
            given["body"] = None if read_body is None else await read_body()
        try:
            if inspect.iscoroutinefunction(handler):
                found = await handler(**given)
            else:
                # It may take its time: others are served meanwhile.
                found = await asyncio.to_thread(handler, **given)
                if inspect.isawaitable(found):
                    found = await found
        except Exception as error:
            raise _refusal(error, 401, "Unauthorized", handler) from error
        if found is None:
            raise ApiError(401, "Unauthorized")
        user = as_user(found)
        if self._cache is not None:
            self._cache.put(key, user)
        return user

    async def authorize(
        self, user: User | None, resource: str, action: str, value: dict[str, Any]
    ) -> Filters | None:
        """Ask the handler that fits best; what there is none for is allowed."""
        handler = self._handler(resource, action)
        if handler is None:
            return None
        user = NOBODY if user is None else user
        context: Any = Auth.types.AuthContext(
            permissions=user.permissions,
            user=user,
            resource=resource,  # type: ignore[arg-type]
            action=action,  # type: ignore[arg-type]
        )
        try:
            answer = await handler(ctx=context, value=value)
        except Exception as error:
            raise _refusal(error, 403, "Forbidden", handler) from error
        if answer is None or answer is True:
            return None
        if answer is False:
            raise ApiError(403, "Forbidden")
        if not isinstance(answer, Mapping):
            raise TypeError(
                f"{_name(handler)} returns None, a bool or filters, not {type(answer).__name__}"
            )
        check_filters(answer)
        return answer

    def _handler(self, resource: str, action: str) -> Any:
        for key in ((resource, action), (resource, "*"), ("*", action)):
            if self._handlers.get(key):
                return self._handlers[key][-1]
        return self._global[-1] if self._global else None


def _parameters(handler: Any) -> list[str]:
    if handler is None:
        return []
    wanted = []
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in _KNOWN and parameter.kind is not parameter.POSITIONAL_ONLY:
            wanted.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise ConfigError(
                f"the authenticate handler {_name(handler)} wants {parameter.name!r}; it can have "
                f"{', '.join(_KNOWN)}"
            )
    return wanted


def _given(name: str, connection: HTTPConnection) -> Any:
    if name == "request":
        return connection
    if name == "headers":
        return dict(connection.scope["headers"])
    if name == "authorization":
        return connection.headers.get("authorization")
    if name == "query_params":
        return dict(connection.query_params)
    if name == "path_params":
        return dict(connection.path_params)
    if name == "path":
        return connection.scope["path"]
    return connection.scope.get("method", "GET")


def _refusal(error: Exception, status: int, detail: str, handler: Any) -> Exception:
    """Return what a caller is told whom a handler has refused."""
    if isinstance(error, (Auth.exceptions.HTTPException, HTTPException)):
        return ApiError(error.status_code, str(error.detail), error.headers)
    if isinstance(error, AssertionError):
        # The examples that handlers are made after check what they are given by assert.
        return ApiError(status, str(error) or detail)
    logger.error("the auth handler %s failed", _name(handler), exc_info=error)
    return ApiError(500, "Internal Server Error")


def _name(handler: Any) -> str:
    return getattr(handler, "__qualname__", None) or repr(handler)
