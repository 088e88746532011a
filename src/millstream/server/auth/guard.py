"""The guard: asks who calls, and whether they may.

There is one for the whole server. Operations are asked about by `api.routing`, so that none can be
forgotten; whatever else is served asks the guard itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millstream.server.auth.user import User

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import HTTPConnection

    from millstream.server.storage.containment import Filters

    ReadBody = Callable[[], Awaitable[Any]]

USER = "millstream.user"
"""Where the scope of a connection has its caller, once it is known."""


class Guard:
    """Lets everybody in, and lets them do everything."""

    is_open = True
    """Nobody is asked anything."""

    async def authenticate(
        self, connection: HTTPConnection, read_body: ReadBody | None = None
    ) -> User | None:
        """Return who calls, None if nobody asks; `ApiError` if they may not call at all."""
        return None

    async def authorize(
        self, user: User | None, resource: str, action: str, value: dict[str, Any]
    ) -> Filters | None:
        """Return what the caller may see; `ApiError` if they may not do this.

        Handlers may change `value`, which is what is going to be done.
        """
        return None


async def admit(
    guard: Guard, connection: HTTPConnection, read_body: ReadBody | None = None
) -> User | None:
    """Return who calls; a connection is asked once."""
    if guard.is_open:
        return None
    if USER not in connection.scope:
        connection.scope[USER] = await guard.authenticate(connection, read_body)
    user: User | None = connection.scope[USER]
    return user
