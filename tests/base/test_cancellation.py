"""Waiting for something for so long, and no longer than the task that waits."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta, timezone

import pytest

from millstream._base.cancellation import in_thread, within
from millstream.server.clock import Chore, Clock


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_is_there_in_time_is_returned_or_raised() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async def main() -> None:
        assert await within(60, asyncio.sleep(0, "yes")) == "yes"
        with pytest.raises(ValueError, match="no"):
            await within(60, fail())

    asyncio.run(main())


def test_what_takes_longer_is_cancelled() -> None:
    async def main() -> None:
        never = asyncio.ensure_future(asyncio.Event().wait())
        with pytest.raises(asyncio.TimeoutError):
            await within(0, never)
        assert never.cancelled()

    asyncio.run(main())


@pytest.mark.parametrize("between", range(4))
def test_a_task_that_is_cancelled_when_something_comes_ends(between: int) -> None:
    async def main() -> None:
        event, is_over = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            await within(60, event.wait())
            await is_over.wait()

        waiting = asyncio.create_task(wait())
        await turns(3)
        event.set()
        await turns(between)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


class Nap(Chore):
    async def do(self) -> datetime | None:
        return datetime.now(timezone.utc) + timedelta(hours=1)


@pytest.mark.parametrize("between", range(4))
def test_a_chore_that_is_woken_when_it_ends_ends(between: int) -> None:
    async def main() -> None:
        nap = Nap("nap", Clock())
        nap.start()
        await turns(3)
        nap.wake()
        await turns(between)
        await within(60, nap.close())

    asyncio.run(main())


def test_what_was_made_for_somebody_who_was_cancelled_is_undone() -> None:
    undone: list[str] = []
    begun = threading.Event()

    def make(is_left: threading.Event) -> str:
        begun.set()
        assert is_left.wait(60)
        return "made"

    async def main() -> None:
        making = asyncio.create_task(in_thread(make, undo=undone.append))
        await asyncio.to_thread(begun.wait, 60)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert undone == ["made"]

    asyncio.run(main())


def test_what_a_thread_makes_or_raises_is_its_result() -> None:
    def fail(is_left: threading.Event) -> None:
        raise ValueError("no")

    async def main() -> None:
        assert await in_thread(lambda is_left: is_left.is_set()) is False
        with pytest.raises(ValueError, match="no"):
            await in_thread(fail)

    asyncio.run(main())
