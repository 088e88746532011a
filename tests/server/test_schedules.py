"""When crons are due: in time zones, and where their clocks are set forward and back."""

from __future__ import annotations

from datetime import datetime

import pytest

from millstream.server.errors import ApiError
from millstream.server.schedules import check_schedule, next_after, time_of, zone_of


def dues(schedule: str, zone: str | None, after: str, count: int) -> list[str]:
    """Return when a schedule is due after a time."""
    time = datetime.fromisoformat(after)
    found = []
    for _ in range(count):
        due = next_after(time, schedule, zone, None)
        assert due is not None
        time = due
        found.append(due.isoformat()[:16])
    return found


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("0 0 * * *", None, "2026-11-20T23:28:17+00:00", ["2026-11-21T00:00", "2026-11-22T00:00"]),
        ("0 9 * * mon", "Asia/Tokyo", "2026-11-20T00:00:00+00:00", ["2026-11-23T00:00"]),
        # Berlin leaves out 02:00 to 03:00 on 2026-03-29: due at 03:00, that is 01:00 UTC.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00+00:00",
            ["2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        # It has 02:00 to 03:00 twice on 2026-10-25: due in the first one alone.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00+00:00",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00+00:00", ["2026-10-26T01:30"]),
        # What goes by every half an hour goes on in both.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:15:00+00:00",
            ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"],
        ),
    ],
)
def test_a_schedule_is_due_by_the_clock_of_its_zone(
    schedule: str, zone: str | None, after: str, expected: list[str]
) -> None:
    assert dues(schedule, zone, after, len(expected)) == expected


def test_nothing_is_due_after_the_end() -> None:
    time = datetime.fromisoformat("2026-11-20T23:28:17+00:00")

    assert next_after(time, "0 0 * * *", None, "2026-11-21T00:00:00Z") is not None
    assert next_after(time, "0 0 * * *", None, "2026-11-20T23:59:59Z") is None


@pytest.mark.parametrize(
    "schedule", ["nope", "", "* * * * * *", "@daily", "0 0 30 2 *", "61 * * * *"]
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ApiError, match="minute hour day_of_month month") as refused:
        check_schedule(schedule)

    assert refused.value.status == 422


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "Europe"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(ApiError, match="Invalid timezone"):
        zone_of(zone)


@pytest.mark.parametrize("text", ["soon", "2030-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="Invalid end_time"):
        time_of(text)


def test_a_time_without_a_zone_is_utc() -> None:
    assert time_of("2030-01-01T00:00:00") == time_of("2030-01-01T01:00:00+01:00")
