"""How much one client may have: requests in a time, streams at a time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from millstream._base.bounded import BoundedDict
from millstream.server.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from millstream.server.auth.user import User
    from millstream.server.config import LimitsConfig

_STREAM: Final = "millstream.stream"
"""Where the scope of a request has who its stream counts for."""


class _Buckets(BoundedDict[str, tuple[float, float]]):
    """What clients have left, and since when."""

    size = 10_000


class Limits:
    """Counts what clients do. A client is a caller, or an address where it is not known who calls.

    All in the event loop of HTTP.
    """

    def __init__(self, config: LimitsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._buckets = _Buckets()
        self._streams: Counter[str] = Counter()

    @property
    def open_streams(self) -> int:
        """Return how many streams there are, of all clients that are limited."""
        return sum(self._streams.values())

    def check_headers(self, scope: Any) -> None:
        """Refuse a request whose headers are too large."""
        limit = self._config.max_header_bytes
        if sum(len(name) + len(value) for name, value in scope["headers"]) > limit:
            raise ApiError(431, f"The request headers are larger than {limit} bytes")

    def count(self, connection: HTTPConnection, user: User | None) -> None:
        """Count a request, and refuse it where there have been too many."""
        rate = self._config.requests_per_minute
        if rate is None:
            return
        most = float(self._config.burst or max(1, rate // 10))
        client, now = _client(connection, user), self._clock()
        left, since = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - since) * rate / 60)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            seconds = math.ceil((1 - left) * 60 / rate)
            raise ApiError(
                429,
                f"More than {rate} requests a minute; try again in {seconds} s",
                {"retry-after": str(seconds)},
            )

    def open_stream(self, connection: HTTPConnection, user: User | None) -> None:
        """Count a request that may be answered for long; `end` takes it back."""
        limit = self._config.max_streams_per_client
        if limit is None:
            return
        client = _client(connection, user)
        if self._streams[client] >= limit:
            raise ApiError(
                429, f"More than {limit} open streams; close some first", {"retry-after": "5"}
            )
        self._streams[client] += 1
        connection.scope[_STREAM] = client

    def end(self, scope: Any) -> None:
        """Note that a request has been answered."""
        client = scope.pop(_STREAM, None)
        if client is not None:
            self._streams[client] -= 1
            if not self._streams[client]:
                del self._streams[client]


def _client(connection: HTTPConnection, user: User | None) -> str:
    if user is not None and user.identity:
        return f"user {user.identity}"
    return f"address {connection.client.host if connection.client else ''}"
