"""Callers that are known already: what an authenticate handler has said, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from copy import deepcopy
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from millstream._base.bounded import BoundedDict
from millstream.server.auth.user import User

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from millstream.server.config import AuthCacheConfig

CREDENTIALS: Final = ("authorization", "x-api-key", "cookie")
"""Headers that tell callers apart, also where the configuration does not name them."""


class _Known(BoundedDict[bytes, tuple[float, User]]):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


class UserCache:
    """Keeps who has called, by what their request says in some headers; in memory, for a time.

    Only callers who were let in are kept.
    """

    def __init__(
        self,
        config: AuthCacheConfig,
        wanted: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one for a handler that wants this of a request."""
        self._headers = [*CREDENTIALS, *(name.lower() for name in config.cache_keys)]
        self._wanted = wanted
        self._ttl = config.ttl_seconds
        self._clock = clock
        self._known = _Known(config.max_size)

    def key_of(self, connection: HTTPConnection) -> bytes | None:
        """Return what a caller is kept by, None if the request tells nothing of them."""
        headers = connection.headers
        told = [",".join(headers.getlist(name)) for name in self._headers]
        if not any(told):
            return None
        scope = connection.scope
        if "method" in self._wanted:
            told.append(scope.get("method", "GET"))
        if {"path", "path_params"} & {*self._wanted}:
            told.append(scope["path"])
        if "query_params" in self._wanted:
            told.append(scope["query_string"].decode("latin-1"))
        # Each with its length, so that no two requests are told alike.
        text = "".join(f"{len(one)}:{one}" for one in told)
        return sha256(text.encode("utf-8", "surrogateescape")).digest()

    def get(self, key: bytes | None) -> User | None:
        """Return who that is, None if nobody knows or it is too long ago."""
        found = None if key is None else self._known.get(key)
        if found is None or found[0] <= self._clock():
            return None
        return _copied(found[1])

    def put(self, key: bytes | None, user: User) -> None:
        """Keep who that is."""
        if key is not None:
            self._known.pop(key, None)  # the youngest goes last
            self._known[key] = self._clock() + self._ttl, _copied(user)


def _copied(user: User) -> User:
    """Return a user of one's own: what one request adds to the permissions is not for the next."""
    try:
        return User(deepcopy(dict(user)))
    except Exception:  # whatever a handler has put into it that cannot be copied
        return User(user)
