"""How much one client may have: requests and runs in a time, streams at a time."""

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
_NOTHING: Final = 1e-6
"""What may be missing: times are not exact."""


class _Buckets(BoundedDict[str, tuple[float, float]]):
    """What clients have left, and since when; who has not been here for the longest goes first."""

    size = 10_000


class Rate:
    """How much of something each client may have in a time: a bucket that fills steadily.

    Of many clients those that were not here for the longest are forgotten: most likely their
    buckets are full again, and that is what is taken of a client that is not known.
    """

    def __init__(self, what: str, per_minute: int, burst: int | None) -> None:
        """Make one of so many a minute, and `burst` at once, a tenth of them by default."""
        self.what = what
        self.per_minute = per_minute
        self.burst = float(burst or max(1, per_minute // 10))
        self._buckets = _Buckets()

    def take(self, client: str, now: float, many: int = 1) -> None:
        """Take what a client wants, or refuse it where there has been too much.

        More than can be there at once is given to who has not had any for long, and the others
        wait for it afterwards.
        """
        left, since = self._buckets.pop(client, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.per_minute / 60)
        missing = min(float(many), self.burst) - left
        is_too_much = missing > _NOTHING
        self._buckets[client] = (left if is_too_much else left - many, now)
        if is_too_much:
            seconds = math.ceil(missing * 60 / self.per_minute)
            raise ApiError(
                429,
                f"More than {self.per_minute} {self.what} a minute; try again in {seconds} s",
                {"retry-after": str(seconds)},
            )


def _rate(what: str, per_minute: int | None, burst: int | None) -> Rate | None:
    return None if per_minute is None else Rate(what, per_minute, burst)


class Limits:
    """Counts what clients do. A client is a caller, or an address where it is not known who calls.

    All in the event loop of HTTP.
    """

    def __init__(self, config: LimitsConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._requests = _rate("requests", config.requests_per_minute, config.burst)
        self._runs = _rate("runs", config.runs_per_minute, config.runs_burst)
        self._streams: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        """What was refused, by what there was too much of."""

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
        self._take(self._requests, connection, user, 1)

    def count_runs(self, connection: HTTPConnection, user: User | None, many: int = 1) -> None:
        """Count runs that a request asks for, and refuse them where there have been too many."""
        self._take(self._runs, connection, user, many)

    def _take(
        self, rate: Rate | None, connection: HTTPConnection, user: User | None, many: int
    ) -> None:
        if rate is None:
            return
        try:
            rate.take(_client(connection, user), self._clock(), many)
        except ApiError:
            self.refused[rate.what] += 1
            raise

    def open_stream(self, connection: HTTPConnection, user: User | None) -> None:
        """Count a request that may be answered for long; `end` takes it back."""
        limit = self._config.max_streams_per_client
        if limit is None:
            return
        client = _client(connection, user)
        if self._streams[client] >= limit:
            self.refused["streams"] += 1
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
