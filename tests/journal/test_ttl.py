"""Threads whose time is over go, and nothing else does."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from typing import Any

import pytest

from journal.journals import SyncCalls, new_config
from journal.states import States, Thread
from millstream.journal import TTL, MemoryJournal, PostgresJournal
from waiting import until

HOUR: TTL = {"default_ttl": 60}
OFTEN: TTL = {"default_ttl": 1e-6, "sweep_interval_minutes": 1e-5}
"""A second has begun before what was written in it is over, so the clock of a test is ahead."""


def fill(calls: SyncCalls, journal: Any, thread_id: str, steps: int = 3) -> Thread:
    """Store some checkpoints."""
    thread = Thread(States(1), thread_id)
    for _ in range(steps):
        calls.call(journal.put, *thread.next())
    return thread


def lengths(calls: SyncCalls, journal: Any) -> list[int]:
    """Return how many checkpoints the threads have."""
    return [len(calls.list(journal, new_config(name))) for name in ("old", "new")]


def aged(calls: SyncCalls, fake_clock: Any, **ttl: Any) -> Any:
    """Return a journal with a thread of an hour ago, and one of now."""
    journal = calls.open(ttl={**HOUR, **ttl})
    fill(calls, journal, "old")
    fake_clock.sleep(3600)
    fill(calls, journal, "new")
    return journal


def test_threads_go_when_their_time_is_over(calls: SyncCalls, fake_clock: Any) -> None:
    journal = aged(calls, fake_clock)
    assert calls.call(journal.sweep_ttl) == 1
    assert lengths(calls, journal) == [0, 3]
    assert calls.call(journal.sweep_ttl) == 0


def test_nothing_goes_before_its_time(calls: SyncCalls, fake_clock: Any) -> None:
    journal = calls.open(ttl=HOUR)
    fill(calls, journal, "old")
    fake_clock.sleep(3599)
    assert calls.call(journal.sweep_ttl) == 0
    assert lengths(calls, journal) == [3, 0]


def test_who_is_written_to_begins_anew(calls: SyncCalls, fake_clock: Any) -> None:
    journal = calls.open(ttl=HOUR)
    thread = fill(calls, journal, "old")
    fake_clock.sleep(3000)
    calls.call(journal.put, *thread.next())
    fake_clock.sleep(3000)
    assert calls.call(journal.sweep_ttl) == 0
    assert lengths(calls, journal) == [4, 0]


def test_the_newest_checkpoint_may_be_kept(calls: SyncCalls, fake_clock: Any) -> None:
    journal = aged(calls, fake_clock, strategy="keep_latest")
    assert calls.call(journal.sweep_ttl) == 1
    assert lengths(calls, journal) == [1, 3]
    assert calls.call(journal.sweep_ttl) == 0
    fake_clock.sleep(3600)
    calls.call(journal.sweep_ttl)
    assert lengths(calls, journal) == [1, 1]


def test_a_journal_without_ttl_sweeps_nothing(calls: SyncCalls) -> None:
    with pytest.raises(ValueError, match="has no ttl"):
        calls.call(calls.open().sweep_ttl)


@pytest.mark.parametrize(
    ("ttl", "message"),
    [
        ({}, "default_ttl"),
        ({"default_ttl": 0}, "default_ttl"),
        ({"default_ttl": "60"}, "default_ttl"),
        ({"default_ttl": 60, "sweep_interval_minutes": -1}, "sweep_interval_minutes"),
        ({"default_ttl": 60, "strategy": "hide"}, "'hide'"),
        ({"default_ttl": 60, "refresh_on_read": True}, "'refresh_on_read'"),
    ],
)
def test_what_makes_no_sense_is_refused(ttl: Any, message: str) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match=message):
        MemoryJournal(ttl=ttl)
    assert threading.active_count() == before


def test_no_thread_sweeps_unless_it_is_asked_for() -> None:
    before = threading.active_count()
    with MemoryJournal(ttl=HOUR):
        assert threading.active_count() == before


def test_a_thread_sweeps_until_the_journal_is_closed(
    calls: SyncCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = calls.open(ttl=OFTEN)
    fill(calls, journal, "old")
    assert until(lambda: lengths(calls, journal) == [0, 0])
    sweeper = journal._sweeper._thread
    calls.close(journal)
    assert not sweeper.is_alive()


def test_a_sweep_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "millstream.journal.ttl"):
        faults = [ValueError("locked"), ValueError("locked")]

        class Failing(MemoryJournal):
            def sweep_ttl(self) -> int:
                if faults:
                    raise faults.pop()
                return super().sweep_ttl()

        with Failing(ttl=OFTEN) as journal:
            journal.put(*Thread(States(1), "old").next())
            assert until(lambda: not list(journal.list(None)))


def test_a_journal_that_is_dropped_takes_its_thread_along() -> None:
    journal = MemoryJournal(ttl={"default_ttl": 60, "sweep_interval_minutes": 60})
    sweeper, gone = journal._sweeper._thread, weakref.ref(journal)  # type: ignore[union-attr]
    del journal
    gc.collect()
    assert gone() is None
    assert until(lambda: not sweeper.is_alive())


def test_a_pool_of_an_event_loop_is_not_swept_by_a_thread() -> None:
    pool = pytest.importorskip("psycopg_pool")

    async def make() -> None:
        some = pool.AsyncConnectionPool("postgresql:///nowhere", open=False)
        with pytest.raises(ValueError, match="asweep_ttl"):
            PostgresJournal(some, ttl=OFTEN)

    asyncio.run(make())
