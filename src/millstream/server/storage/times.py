"""What time it is in a transaction, and times as rows have them: texts in UTC that sort as they do.

In PostgreSQL a transaction that writes has the time at which it began, which the database tells in
the message that begins it. So what servers write is in one order, whatever their own clocks show.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine

from millstream.server.clock import stamp

if TYPE_CHECKING:
    from millstream.server.clock import Clock

TOLD: Final = "millstream_time"
"""Where a connection notes the time of its transaction, in seconds since 1970."""
_CLOCK: Final = "millstream_clock"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def keep_time(engine: Engine, clock: Clock) -> None:
    """Have a clock tell the time where the database does not."""
    engine.update_execution_options(**{_CLOCK: clock})


def seconds(connection: Connection) -> float:
    """Return the time, in seconds since 1970."""
    told: float | None = connection.info.get(TOLD)
    if told is not None:
        return told
    clock: Clock = connection.get_execution_options()[_CLOCK]
    return clock.seconds()


def moment(connection: Connection) -> datetime:
    """Return the time, in UTC."""
    return datetime.fromtimestamp(seconds(connection), timezone.utc)


def now(connection: Connection) -> str:
    """Return the time, as rows and clients have it."""
    return stamp(moment(connection))


def stamp_of(ms: int) -> str:
    """Return milliseconds since 1970 as rows have them."""
    return stamp(_EPOCH + timedelta(milliseconds=ms))


def ms_of(stamp: str) -> int:
    """Return what a row has in milliseconds since 1970; what is less than one is left out."""
    return (datetime.fromisoformat(stamp) - _EPOCH) // timedelta(milliseconds=1)
