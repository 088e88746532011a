"""When a cron is due: schedules of five fields, in a time zone.

Where clocks are set forward, what falls into the hour that is left out is due right after it. Where
they are set back, what has an hour of the day is due once, in the first of the two hours; what goes
by every hour or minute is due in both.
"""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from millstream.server.errors import ApiError

FORMAT = (
    "Ensure the schedule uses the standard cron format (minute hour day_of_month month "
    "day_of_week). Example: '*/5 * * * *' for every 5 minutes."
)

_ANY_TIME = datetime(2000, 1, 1, tzinfo=timezone.utc)


def next_after(
    time: datetime, schedule: str, zone: str | None, end_time: str | None
) -> datetime | None:
    """Return when a schedule is due next, in UTC; None if that is never or after its end."""
    local = time.astimezone(zone_of(zone))
    try:
        for found in CronSim(schedule, local):
            due = found.astimezone(timezone.utc)
            # In an hour that is there twice the first one is told again.
            if due > time:
                break
        else:
            return None
    except (CronSimError, OverflowError):
        return None
    if end_time is not None and due > time_of(end_time):
        return None
    return due


def check_schedule(schedule: str) -> None:
    """Refuse what is no schedule."""
    if len(schedule.split()) == 5:
        try:
            CronSim(schedule, _ANY_TIME)
        except CronSimError:
            pass
        else:
            return
    raise ApiError(
        422, f"Invalid cron schedule: {schedule[:100]!r}. Reason: Invalid cron schedule. {FORMAT}"
    )


def zone_of(name: str | None) -> ZoneInfo | timezone:
    """Return a time zone by its name, UTC for none."""
    if name is None or name == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise ApiError(
            422,
            f"Invalid timezone: {name[:100]!r}. Give a name like 'Europe/Berlin'; where the system "
            "has no time zones, they come with the package tzdata",
        ) from None


def time_of(text: str) -> datetime:
    """Return a time that a client has written; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
        if found.tzinfo is None:
            found = found.replace(tzinfo=timezone.utc)
        # What has no counterpart in UTC cannot be compared.
        return found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise ApiError(
            422, f"Invalid end_time: {text[:100]!r}. Give a time like '2030-01-01T00:00:00Z'"
        ) from None
