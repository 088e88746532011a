"""Who writes when several want to: errors that are everybody's, and work that is not the loop's."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from journal.journals import AsyncCalls, SyncCalls, new_config
from journal.states import States, Thread
from millstream.journal.lanes import _Job, _work
from millstream.journal.rows import Commit, Reserve
from millstream.journal.storage import JournalClosedError
from millstream.journal.writing import UNKNOWN, store


def error_of(kind: str) -> Exception:
    """Return what a storage raises when nobody can write."""
    if kind == "sqlite":
        return sqlite3.OperationalError("database is locked")
    import psycopg

    return psycopg.OperationalError("the server cannot be reached")


def jobs_of(journal: Any, threads: list[Thread]) -> list[Any]:
    """Return what waits for a lane, one job for the next checkpoint of each thread."""

    def job(thread: Thread) -> Any:
        handover = journal._handover([("put", thread.next())], UNKNOWN)
        return _Job(lambda: store(journal._memory, handover))

    return [job(thread) for thread in threads]


@pytest.mark.parametrize("failing", [Reserve, Commit])
def test_who_wait_together_are_told_at_once_that_nobody_can_write(
    lasting: SyncCalls, failing: type
) -> None:
    """Finding that out may take as long as `timeout`, and each would wait for it again."""
    journal = lasting.open()
    threads = [Thread(States(seed), f"thread{seed}") for seed in range(6)]
    if failing is Commit:
        for thread in threads:
            lasting.call(journal.put, *thread.next())
    error, asked = error_of(lasting.kind), 0

    def carried_out(request: Any) -> Any:
        nonlocal asked
        if isinstance(request, failing):
            asked += 1
            raise error
        return journal._storage.carry_out(request)

    jobs = jobs_of(journal, threads)
    carry_out(_work(jobs, journal._storage.is_general), carried_out)
    assert asked == 1
    for job in jobs:
        with pytest.raises(type(error)):
            job.outcome()
    again = jobs_of(journal, threads)
    carry_out(_work(again, journal._storage.is_general), journal._storage.carry_out)
    assert [job.outcome() for job in again] == [None] * 6


def test_an_error_of_one_is_not_that_of_those_who_wait_with_it(calls: SyncCalls) -> None:
    """Of several that fail together each is tried alone."""
    journal = calls.open()
    threads = [Thread(States(seed), f"thread{seed}") for seed in range(3)]

    def carried_out(request: Any) -> Any:
        if isinstance(request, Commit):
            names = [batch.line.thread_id for batch in request.batches]
            if "thread1" in names:
                raise ValueError(names)
        return journal._storage.carry_out(request)

    jobs = jobs_of(journal, threads)
    carry_out(_work(jobs, journal._storage.is_general), carried_out)
    with pytest.raises(ValueError, match="thread1"):
        jobs[1].outcome()
    assert [jobs[at].outcome() for at in (0, 2)] == [None, None]


@pytest.mark.parametrize("is_first", [False, True])
def test_writes_of_several_tasks_wait_together_for_their_checkpoint(
    calls: SyncCalls, is_first: bool
) -> None:
    """The second ones find the place that the first ones have made, before that is stored."""
    journal = calls.open()
    thread = Thread(States(1), "thread")
    if not is_first:
        calls.call(journal.put, *thread.next())
    put = thread.next()
    config = new_config("thread", put[1]["id"])
    made = [("put_writes", (config, [("channel0", task)], task)) for task in ("a", "b", "c")]
    handovers = [journal._handover([each], UNKNOWN) for each in (*made, ("put", put))]
    jobs = [_Job(lambda each=each: store(journal._memory, each)) for each in handovers]  # type: ignore[misc]
    carry_out(_work(jobs, journal._storage.is_general), journal._storage.carry_out)
    assert [job.outcome() for job in jobs] == [None] * 4
    found = calls.list(journal, new_config("thread"))
    assert len(found) == (1 if is_first else 2)
    assert found[0].pending_writes == [(task, "channel0", task) for task in ("a", "b", "c")]


def carry_out(steps: Any, carried_out: Callable[[Any], Any]) -> None:
    """Carry out what steps ask for."""
    answer: Any = None
    go_on: Any = steps.send
    with suppress(StopIteration):
        while True:
            request = go_on(answer)
            go_on = steps.send
            try:
                answer = carried_out(request)
            except Exception as error:
                go_on, answer = steps.throw, error


def test_upkeep_is_not_done_in_the_thread_of_an_event_loop(calls: SyncCalls) -> None:
    """It may be about thousands of rows."""
    journal = calls.open()
    thread = Thread(States(1), "thread")
    for _ in range(3):
        calls.call(journal.put, *thread.next())
    storage, here = journal._storage, set()

    def carry_out(request: Any, **options: Any) -> Any:
        here.add(threading.current_thread() is threading.main_thread())
        return type(storage).carry_out(storage, request, **options)

    storage.carry_out = carry_out
    for method, arguments in (
        (journal.copy_thread, ("thread", "copy")),
        (journal.prune, (["thread"],)),
        (journal.delete_for_runs, (["run"],)),
        (journal.delete_untouched, (timedelta(days=1),)),
        (journal.delete_thread, ("copy",)),
    ):
        here.clear()
        calls.call(method, *arguments)
        assert here == {calls.driver == "sync"}, method


def test_who_reads_as_a_journal_is_closed_is_told_so(lasting: SyncCalls) -> None:
    """What was being read is read, and the next page is not."""
    journal = lasting.open()
    thread = Thread(States(1), "thread")
    for _ in range(40):
        thread.values = {}
        lasting.call(journal.put, *thread.next())
    assert not journal.is_closed
    found: list[Any] = []

    async def aread() -> None:
        async for each in journal.alist(new_config("thread")):
            found.append(each)
            await journal.aclose()

    def read() -> None:
        if isinstance(lasting, AsyncCalls):
            lasting.loop.run_until_complete(aread())
        for each in journal.list(new_config("thread")):
            found.append(each)
            journal.close()

    with pytest.raises(JournalClosedError):
        read()
    assert 0 < len(found) < 40
    assert journal.is_closed
