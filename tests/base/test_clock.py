"""The time as it is written; ids of checkpoints, above all that were seen, in whatever form."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from millstream._base.clock import Clock, Stamps


@pytest.mark.parametrize(
    "seen",
    [
        "2f1eb479-b46a-6946-8001-b617e8cb7b71",
        "2f1eb479-b46a-6fff-8001-b617e8cb7b71",
        "2f1eb479-ffff-6fff-8001-b617e8cb7b71",
        "9f1eb479-b46a-4fff-8001-b617e8cb7b71",
        "9f1eb479-ffff-7fff-bfff-ffffffffffff",
    ],
)
def test_an_id_is_above_what_was_seen(seen: str) -> None:
    stamps = Stamps()
    stamps.see(seen, "")

    ids = [stamps.stamp(step)[0] for step in range(3)]

    assert [seen, *ids] == sorted({seen, *ids})
    assert [uuid.UUID(id).version for id in ids] == [6, 6, 6]


@pytest.mark.parametrize("seen", ["ffffffff-ffff-6fff-8001-b617e8cb7b71", "zzz"])
def test_where_nothing_can_be_above_ids_are_as_usual(seen: str) -> None:
    stamps = Stamps()
    stamps.see(seen)

    first, second = stamps.stamp(1)[0], stamps.stamp(2)[0]

    assert [uuid.UUID(id).version for id in (first, second)] == [6, 6]
    assert first < second


@pytest.mark.parametrize("micros", [0, 1, 999_999, 1_000_000, 1_766_000_000_000_001])
def test_the_time_is_written_as_datetime_does(micros: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: micros * 1000 + 999)

    expected = datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=micros)
    assert Clock().now() == expected.isoformat()


def test_an_id_has_the_time_and_the_step_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_766_000_000_123_456_700)

    id = uuid.UUID(Clock().new_id(5))

    ticks = int(id.hex[:12] + id.hex[13:16], 16) - 0x01B21DD213814000
    assert ticks * 100 == 1_766_000_000_123_456_700
    assert (id.version, id.clock_seq) == (6, 5)
