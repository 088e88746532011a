"""The parts of reading a run at another server than carries it out, without a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Any, cast

from millstream.outbox.write_ahead import Place
from millstream.server.log.hub import Logs
from millstream.server.log.run_log import Entry, RunLog, RunReader
from millstream.server.log.storing import Storing
from millstream.server.replicas.membership import SharedMembership
from millstream.server.runs.looking import Looking
from millstream.server.runs.thread_following import ThreadFollowing
from millstream.server.storage import following as rows
from millstream.server.storage import thread_readers
from millstream.server.storage.attempts import TakenOverError


def entry(seq: int) -> Entry:
    return Entry(seq, 1000 + seq, "custom", b"event: custom\r\ndata: %d\r\n\r\n" % seq)


def numbers(frames: bytes) -> list[int]:
    return [int(line[6:]) for line in frames.split(b"\r\n") if line.startswith(b"data: ")]


def test_a_log_that_is_fed_is_read_like_one_that_is_written() -> None:
    async def act() -> None:
        for is_resumable in (False, True):
            log = RunLog("r", is_resumable=is_resumable, last=(1002, 2))
            reader = RunReader(log, 2)
            log.take([entry(3), entry(4)])
            log.take([entry(4), entry(5)])
            assert numbers(reader.take()) == [3, 4, 5]
            assert (log.last, log.readable, log.stored) == (5, 5, 5)
            log.close()
            assert reader.is_over

    asyncio.run(act())


def test_a_log_that_was_fed_goes_on_as_a_live_one() -> None:
    async def act() -> None:
        log = RunLog("r")
        reader = RunReader(log, 0)
        log.take([entry(1), entry(2)])
        last = log.append("custom", "custom", b"3")
        assert (last.seq, last.ms > 1002) == (3, True)
        assert numbers(reader.take()) == [1, 2, 3]

    asyncio.run(act())


def test_what_an_attempt_has_left_behind_says_nothing_to_who_reads_on() -> None:
    async def act() -> None:
        log = RunLog("r", is_resumable=True)
        reader = RunReader(log, 0)
        for n in range(3):
            log.append("custom", "custom", b"%d" % n)
        log.reveal(2)
        # Another process has the run, and has not seen the third one.
        log.go_back()
        log.append("custom", "custom", b"99")
        log.take([entry(3), entry(4)])
        assert numbers(reader.take()) == [0, 1, 3, 4]
        log.go_on()
        assert log.append("custom", "custom", b"5").seq == 5
        log.reveal(5)
        assert numbers(reader.take()) == [5]

    asyncio.run(act())


def test_what_could_not_be_stored_is_passed_by() -> None:
    async def act() -> None:
        log = RunLog("r")
        reader = RunReader(log, 0)
        log.take([entry(1)])
        assert numbers(reader.take()) == [1]
        log.take([entry(4), entry(5)])
        assert reader.is_behind
        assert [each.seq for each in log.after(3, 10) or ()] == [4, 5]

    asyncio.run(act())


class Notes:
    """A database that writes when it is told to."""

    writes_in_order = True

    def __init__(self) -> None:
        self.under_way: list[Future[None]] = []
        self.written: list[tuple[list[int], int | None]] = []
        """The events of each write, and up to where others may read."""

    def write_soon(
        self, function: Any, run_id: str, attempt: int, entries: Sequence[Entry], *shown: int
    ) -> Future[None]:
        seqs = [each.seq for each in entries]
        self.written.append((seqs, shown[0] if shown else None))
        self.under_way.append(Future())
        return self.under_way[-1]

    def commit(self) -> None:
        """Have what is under way written."""
        self.under_way.pop(0).set_result(None)


def storing(notes: Notes, log: RunLog, rung: list[str]) -> Storing:
    database: Any = notes
    lost: Callable[[], object] = lambda: rung.append("lost")  # noqa: E731
    return Storing(database, log, 1, lost, lambda: rung.append("rung"))


def test_a_run_that_is_not_stored_is_so_from_when_it_is_read_elsewhere() -> None:
    notes, log, rung = Notes(), RunLog("r"), list[str]()
    stores = storing(notes, log, rung)
    for n in range(3):
        log.append("custom", "custom", b"%d" % n)
    assert notes.written == []
    stores.follow()
    assert notes.written == [([1, 2, 3], 3)]
    log.append("custom", "custom", b"3")
    stores.follow()
    notes.commit()
    assert notes.written[1:] == [([4], 4)]
    assert rung == ["rung"]
    notes.commit()
    assert rung == ["rung"] * 2
    assert stores.rest() == []


def test_others_read_what_the_holder_shows() -> None:
    notes, log, rung = Notes(), RunLog("r", is_resumable=True), list[str]()
    stores = storing(notes, log, rung)
    stores.begin()
    log.append("custom", "custom", b"1")
    notes.commit()
    assert notes.written == [([1], None)]
    assert rung == []
    stores.follow()
    assert notes.written[1:] == [([], 1)]
    notes.commit()
    hold = log.hold()
    log.append("custom", "custom", b"2")
    hold.bind(Place("", "checkpoint", ""))
    assert notes.written[2:] == [([2], 1)]
    notes.commit()
    assert log.readable == 1
    # It is stored: nothing else is written that could tell it.
    hold.keep()
    assert log.readable == 2
    assert notes.written[3:] == [([], 2)]
    notes.commit()
    assert len(notes.written) == 4
    assert rung == ["rung"] * 3


def test_of_a_run_that_is_handed_over_what_is_true_is_stored_with_that() -> None:
    notes, log, rung = Notes(), RunLog("r", is_resumable=True), list[str]()
    stores = storing(notes, log, rung)
    stores.begin()
    log.append("custom", "custom", b"1")
    log.append("custom", "custom", b"2")
    log.hold().bind(Place("", "checkpoint", ""))
    log.append("custom", "custom", b"3")
    log.hold()
    log.append("custom", "custom", b"4")
    # What the third tells of may be stored, what the fourth does is not: it was not said before.
    rest, is_uncertain = stores.cut()
    assert ([entry.seq for entry in rest], is_uncertain) == ([2, 3], True)
    notes.commit()
    assert (log.last, log.readable) == (2, 1)


def test_nothing_is_told_of_a_run_that_was_taken_over() -> None:
    notes, log, rung = Notes(), RunLog("r", is_resumable=True), list[str]()
    stores = storing(notes, log, rung)
    stores.begin()
    stores.follow()
    notes.commit()
    log.append("custom", "custom", b"1")
    notes.under_way.pop(0).set_exception(TakenOverError("r", 1))
    log.append("custom", "custom", b"2")
    assert notes.written[1:] == [([1], 1)]
    assert log.readable == 0
    assert rung == ["rung", "lost"]


def test_there_is_one_look_at_a_time_and_another_for_what_comes_meanwhile() -> None:
    async def act() -> None:
        looks: list[set[str]] = []
        tasks = set[asyncio.Task[None]]()
        go_on = asyncio.Event()

        async def look(ids: Collection[str]) -> None:
            looks.append(set(ids))
            await go_on.wait()
            if "bad" in ids:
                raise RuntimeError("the database is not there")

        looking = Looking(look, lambda coroutine: tasks.add(asyncio.create_task(coroutine)))
        looking.at(["a", "b"])
        await asyncio.sleep(0)
        looking.at(["b"])
        looking.at(["c"])
        assert looks == [{"a", "b"}]
        go_on.set()
        await asyncio.gather(*tasks)
        assert looks == [{"a", "b"}, {"b", "c"}]
        # One that fails is tried again with the next.
        looking.at(["bad"])
        await asyncio.gather(*tasks)
        looking.at(["d"])
        await asyncio.gather(*tasks)
        assert looks[2:] == [{"bad"}, {"d"}]
        looking.close()
        looking.at(["e"])
        await asyncio.gather(*tasks)
        assert len(looks) == 4

    asyncio.run(act())


def test_large_events_are_read_a_few_at_a_time_and_small_ones_many() -> None:
    def read(size: int, count: int) -> list[int]:
        """Return how many are read in each go, of so many events of a size."""
        most, asked = rows.FEWEST, []
        while count > 0:
            asked.append(most)
            found, count = min(most, count), count - most
            most = rows.together(most, found * size, is_whole=found < most)
        return asked

    small, large, huge = read(300, 10_000), read(1_000_000, 200), read(10**9, 200)
    assert small == [100, 200, 400, 800, 1600, *[rows.MOST] * 4]
    assert large[:5] == [100, 50, 25, 12, 6]
    assert max(large[4:]) * 1_000_000 <= 2 * rows.MANY_BYTES
    assert set(huge[7:]) == {1}


class Readers:
    """A database in which it stands which threads are read."""

    def __init__(self) -> None:
        self.noted: set[str] = set()
        self.is_away = False

    async def read(self, function: Any, *given: Any) -> list[Any]:
        assert function is thread_readers.runs_of
        return []

    async def write(self, function: Any, ids: Any, *given: Any, **named: Any) -> Any:
        if self.is_away:
            raise RuntimeError("the database is not there")
        if function is thread_readers.add:
            self.noted.add(ids)
            return thread_readers.Known((), "now")
        assert function is thread_readers.remove
        self.noted -= {*ids}


def test_that_a_thread_is_read_no_more_is_noted_later_if_it_cannot_be_now() -> None:
    """Else its runs would be stored for nobody, as long as the server lives."""

    async def act() -> None:
        db: Any = Readers()
        tasks: list[asyncio.Task[None]] = []
        logs, following = Logs(), cast("Any", None)
        here: dict[str, Any] = {
            "is_here": lambda _: False,
            "spawn": lambda coroutine: tasks.append(asyncio.create_task(coroutine)),
        }
        threads = ThreadFollowing(db, logs, SharedMembership(db), following, **here)
        reader = logs.read_thread("at")
        await threads.ready("at")
        assert db.noted == {"at"}
        db.is_away = True
        logs.leave("at", reader)
        await asyncio.gather(*tasks)
        assert db.noted == {"at"}
        db.is_away = False
        threads.look_at_all()
        await asyncio.gather(*tasks)
        assert db.noted == set()

    asyncio.run(act())
