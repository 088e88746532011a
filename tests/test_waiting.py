"""Code of tests does not sleep for a moment, and hopes for the rest."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from waiting import auntil, until


def test_a_test_that_sleeps_for_a_moment_is_seen(sleepless: Any) -> None:
    time.sleep(0.001)
    asyncio.run(asyncio.sleep(0.001))

    seen, sleepless.seen = sleepless.seen, []
    assert len(seen) == 2
    assert seen[0].startswith(f"{__file__}:")
    assert seen[0].endswith(" sleeps for 0.001 s")


@pytest.mark.usefixtures("fake_clock")
def test_time_that_is_set_may_be_slept_in() -> None:
    asyncio.run(asyncio.sleep(0.5))


@pytest.mark.real_time(reason="it tries the mark")
def test_who_says_why_may_sleep() -> None:
    time.sleep(0.001)
    asyncio.run(asyncio.sleep(0.001))


def test_waiting_ends_when_it_has_happened_or_patience_has_ended() -> None:
    turns: list[int] = []

    def third() -> bool:
        turns.append(1)
        return len(turns) % 3 == 0

    assert until(third)
    assert asyncio.run(auntil(third))
    assert len(turns) == 6
    assert not until(lambda: False, patience=0.002)
    assert not asyncio.run(auntil(lambda: False, patience=0.002))
