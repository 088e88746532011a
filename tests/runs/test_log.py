"""The log of a run: every reader sees the same events, whenever it comes and wherever it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from millstream.runs import Event, EventLog, MemoryLog
from runs.starting import adata, data, in_thread
from waiting import until

pytestmark = pytest.mark.timeout(20)


def say(log: MemoryLog, *items: Any) -> list[Event]:
    """Append items as parts of mode `custom`."""
    return [log.append(((), "custom", item, None)) for item in items]


def test_a_memory_log_is_an_event_log() -> None:
    assert isinstance(MemoryLog(), EventLog)


def test_events_are_counted_from_one_without_holes(fake_clock: Any) -> None:
    log = MemoryLog()
    log.append((("a:1",), "updates", {"a": 1}, None))
    say(log, "x")

    first, second = log.read()

    assert first == Event(("a:1",), "updates", {"a": 1}, None, 1, 1_000_000_000)
    assert (second.seq, second.mode, second.namespace, second.data) == (2, "custom", (), "x")


def test_a_log_is_read_from_any_place() -> None:
    log = MemoryLog()
    say(log, *range(5))

    assert data(log.read(after=3)) == [3, 4]
    assert data(log.read(after=1, limit=2)) == [1, 2]
    assert data(log.read(after=5)) == []


def test_a_place_before_the_first_event_is_refused() -> None:
    with pytest.raises(ValueError, match="after must be the seq of an event, or 0, got -1"):
        MemoryLog().subscribe(-1)


def test_a_reader_takes_what_is_there_and_ends_with_the_log() -> None:
    log = MemoryLog()
    say(log, *range(1000))
    log.close()

    assert data(log.subscribe()) == list(range(1000))
    assert data(log.subscribe(after=998)) == [998, 999]
    assert asyncio.run(adata(log.subscribe(after=998))) == [998, 999]


def test_a_closed_log_takes_nothing_more() -> None:
    log = MemoryLog()
    log.close()

    with pytest.raises(RuntimeError, match="The log is closed"):
        say(log, 1)


def test_the_error_of_a_run_is_with_its_log_and_not_raised_by_readers() -> None:
    log, error = MemoryLog(), OSError("no")
    say(log, 1)
    log.close(error)
    log.close(ValueError("later"))

    assert data(log.subscribe()) == [1]
    assert log.error is error


def test_threads_and_tasks_that_come_early_or_late_see_the_same() -> None:
    log = MemoryLog()
    early = [in_thread(lambda: data(log.subscribe())) for _ in range(3)]
    tasks = [in_thread(lambda: asyncio.run(adata(log.subscribe()))) for _ in range(2)]
    assert until(lambda: len(log.bell._waiters) == 5)

    for number in range(500):
        say(log, number)
    late = [in_thread(lambda: data(log.subscribe())), in_thread(lambda: data(log.subscribe(490)))]
    say(log, 500)
    log.close()

    assert [result() for result in (*early, *tasks)] == [list(range(501))] * 5
    assert [result() for result in late] == [list(range(501)), list(range(490, 501))]
    assert not log.bell.has_waiters


def test_events_of_several_threads_have_their_places_without_holes() -> None:
    log = MemoryLog()
    results = [in_thread(lambda: say(log, *range(500))) for _ in range(4)]

    assert [len(result()) for result in results] == [500] * 4

    assert [event.seq for event in log.read()] == list(range(1, 2001))


def test_one_task_reads_and_others_of_its_loop_write() -> None:
    async def scenario() -> None:
        log = MemoryLog()
        reading = asyncio.create_task(adata(log.subscribe()))
        await asyncio.sleep(0)
        for number in range(3):
            say(log, number)
            await asyncio.sleep(0)
        log.close()

        assert await reading == [0, 1, 2]

    asyncio.run(scenario())


def test_a_reader_that_is_cancelled_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        log = MemoryLog()
        readers = [asyncio.create_task(adata(log.subscribe())) for _ in range(3)]
        await asyncio.sleep(0)
        assert len(log.bell._waiters) == 3

        readers[1].cancel()
        await asyncio.wait([readers[1]])
        assert len(log.bell._waiters) == 2

        say(log, 1)
        log.close()
        assert await asyncio.gather(readers[0], readers[2]) == [[1], [1]]
        assert not log.bell.has_waiters

    asyncio.run(scenario())


def test_a_reader_goes_on_where_it_was_when_it_was_cancelled() -> None:
    async def scenario() -> None:
        log = MemoryLog()
        reader = log.subscribe()
        say(log, 1)
        assert (await anext(reader)).data == 1
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        say(log, 2)
        log.close()

        assert (reader.seq, await adata(reader)) == (1, [2])

    asyncio.run(scenario())


def test_a_loop_that_was_closed_while_a_reader_waited_disturbs_nobody() -> None:
    log = MemoryLog()
    loop = asyncio.new_event_loop()
    reading = loop.create_task(adata(log.subscribe()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    other = in_thread(lambda: data(log.subscribe()))
    assert until(lambda: len(log.bell._waiters) == 2)

    say_in_thread = in_thread(lambda: (say(log, 1), log.close()))

    say_in_thread()
    assert other() == [1]
    reading.get_coro().close()  # type: ignore[union-attr]
    reading._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_slow_reader_holds_nobody_back() -> None:
    async def scenario() -> None:
        log = MemoryLog()
        slow = log.subscribe()
        say(log, 0)
        assert (await anext(slow)).data == 0
        fast = asyncio.create_task(adata(log.subscribe()))

        say(log, *range(1, 10_000))
        log.close()

        assert await fast == list(range(10_000))
        assert slow.seq == 1
        assert await adata(slow) == list(range(1, 10_000))

    asyncio.run(scenario())


def test_waiting_at_a_bell_ends_when_time_is_up() -> None:
    log = MemoryLog()
    reader = log.subscribe()

    assert log.bell.wait(reader.fetch, timeout=0.01) is False
    assert not log.bell.has_waiters
