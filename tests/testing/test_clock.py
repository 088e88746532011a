"""The time of tests passes when somebody waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from millstream._base.clock import SYSTEM, current
from millstream.graph import START, MessagesState, StateGraph
from millstream.testing import FakeClock, fake_clock
from millstream.types import RetryPolicy


def test_runs_and_loops_have_the_clock_inside_and_not_after() -> None:
    with fake_clock() as clock:
        assert current() is clock

        async def read() -> float:
            return asyncio.get_running_loop().time()

        clock.seconds = 5
        assert asyncio.run(read()) == 5

    assert current() is SYSTEM
    assert asyncio.run(read()) == pytest.approx(time.monotonic(), abs=1000)


def test_sleepers_of_a_loop_sleep_side_by_side() -> None:
    woken: list[str] = []

    async def sleep(name: str, seconds: float) -> None:
        await current().asleep(seconds)
        woken.append(name)

    async def all_of_them() -> None:
        await asyncio.gather(sleep("late", 3), sleep("early", 1), asyncio.sleep(2))

    with fake_clock() as clock:
        began = clock.seconds
        asyncio.run(all_of_them())

    assert woken == ["early", "late"]
    assert clock.seconds == pytest.approx(began + 3)


def test_a_timeout_ends_what_sleeps_longer() -> None:
    async def wait() -> None:
        await asyncio.wait_for(current().asleep(3600), 60)

    with fake_clock() as clock:
        began = clock.seconds
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(wait())

    assert clock.seconds == pytest.approx(began + 60)


def test_in_a_loop_of_real_time_it_passes_at_once() -> None:
    loop = asyncio.new_event_loop()
    with fake_clock() as clock:
        loop.run_until_complete(clock.asleep(3600))
    loop.close()

    assert clock.slept == [3600]


def test_a_retry_is_one_sleep(driver: Any) -> None:
    attempts: list[int] = []

    def fail(state: MessagesState) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("not yet")

    builder = StateGraph(MessagesState)
    builder.add_node("fail", fail, retry_policy=RetryPolicy(initial_interval=60, max_interval=90))
    graph = builder.add_edge(START, "fail").compile()

    with fake_clock() as clock:
        driver.invoke(graph, {"messages": "Go on."})

    assert clock.slept == pytest.approx([60, 90], abs=1)


def test_sleeps_of_threads_add_up() -> None:
    clock = FakeClock()
    other = threading.Thread(target=clock.sleep, args=(1,))

    class Slow(float):
        """A time to which something is added while another thread sleeps."""

        def __add__(self, seconds: float) -> float:
            other.start()
            # It may have to wait for this thread; if not, it is done long before.
            other.join(0.05)
            return float(self) + seconds

    clock.seconds = Slow(10)
    clock.sleep(2)
    other.join()

    assert clock.seconds == 13
