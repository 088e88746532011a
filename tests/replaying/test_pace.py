"""How fast a recording is shown, and what is said of one that was cut."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest

import millstream
from millstream.recording.reading import TruncatedRecordingWarning

HEADER = {"recording": 1, "started": 1_700_000_000_000_000}
AT = (500_000, 1_500_000, 1_500_000, 4_500_000)
EVENTS = [{"at": at, "ns": [], "mode": "custom", "data": at} for at in AT]
END = {"at": 5_000_000, "end": "success", "events": len(AT)}


def file_of(*lines: Any) -> io.BytesIO:
    """Return a file with these lines."""
    return io.BytesIO(gzip.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode()))


@pytest.mark.parametrize(
    ("speed", "slept"),
    [(1, [0.5, 1.0, 3.0]), (2, [0.25, 0.5, 1.5]), (0.5, [1.0, 2.0, 6.0]), (None, [])],
)
def test_time_passes_as_it_did_or_faster(
    driver: Any, fake_clock: Any, speed: float | None, slept: list[float]
) -> None:
    replay = millstream.replay(file_of(HEADER, *EVENTS, END), speed=speed)

    assert driver.stream(replay, None, stream_mode="custom") == list(AT)
    assert fake_clock.slept == pytest.approx(slept)


def test_a_stream_may_have_a_speed_of_its_own(fake_clock: Any) -> None:
    replay = millstream.replay(file_of(HEADER, *EVENTS, END), speed=1)

    list(replay.stream(stream_mode="custom", speed=3))
    list(replay.stream_events(speed=float("inf")))

    assert sum(fake_clock.slept) == pytest.approx(1.5)


@pytest.mark.parametrize("speed", [0, -1, float("nan"), "max", True])
def test_what_is_no_speed_is_refused(speed: Any) -> None:
    with pytest.raises(ValueError, match="speed must be a number above 0"):
        millstream.replay(file_of(HEADER, END), speed=speed)


def test_what_took_time_to_read_is_made_up_for(fake_clock: Any) -> None:
    items = millstream.replay(file_of(HEADER, *EVENTS, END), speed=1).stream(stream_mode="custom")
    next(items)
    fake_clock.seconds += 2

    list(items)

    assert fake_clock.slept == pytest.approx([0.5, 2.0])


def test_a_recording_that_was_cut_says_so(driver: Any) -> None:
    replay = millstream.replay(file_of(HEADER, *EVENTS))

    with pytest.warns(TruncatedRecordingWarning, match=r"after 4 events and 4\.5 s"):
        got = driver.stream(replay, None, stream_mode="custom")

    assert got == list(AT)
    assert replay.status == "truncated"


def test_forms_that_there_are_not_are_refused() -> None:
    replay = millstream.replay(file_of(HEADER, END))

    with pytest.raises(ValueError, match="Unknown stream mode 'oops'"):
        replay.stream(stream_mode="oops")
    with pytest.raises(ValueError, match="Unknown stream version"):
        replay.stream(version="v9")
    with pytest.raises(NotImplementedError, match="Use astream_events"):
        replay.stream_events(version="v2")
    with pytest.raises(NotImplementedError, match="use v2 or v3"):
        replay.astream_events(version="v1")
