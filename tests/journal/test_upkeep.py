"""What is thrown away is gone, what is left reads as before, and parts nobody names are freed."""

from __future__ import annotations

import decimal
import enum
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from journal.journals import FullCopies, SyncCalls, new_config
from journal.states import States, Thread
from millstream.journal.access import change
from millstream.journal.checking import check
from millstream.journal.rows import CopyLines, FindLines, FindPools, ReadParts, ReadRows
from millstream.journal.saver import Journal
from millstream.journal.upkeep import rename_thread


def filled(calls: SyncCalls, seed: int = 1, steps: int = 40, **options: Any) -> tuple[Any, Thread]:
    """Return a journal with one thread of some steps, and writes next to them."""
    journal = calls.open(**options)
    thread = Thread(States(seed), "thread")
    for _ in range(steps):
        calls.call(journal.put, *thread.next())
        calls.call(journal.put_writes, *thread.writes())
    return journal, thread


def parts_of(journal: Any, thread_id: str = "thread") -> int:
    """Return how many parts the lines of a thread have made."""
    storage = journal._storage
    known = journal._memory.lines[thread_id, ""]
    ranges = [(pool, 0, 1 << 29) for pool in storage.carry_out(FindPools(known.row.number))]
    if hasattr(storage, "_parts"):
        return sum(len(storage._parts.get(pool, ())) for pool, _, _ in ranges)
    return len(storage.carry_out(ReadParts(ranges)))


def read(calls: SyncCalls, journal: Any, thread_id: str) -> list[Any]:
    """Return all there is of a thread, in a form that can be compared."""
    copies = FullCopies()
    return [copies.comparable(each) for each in calls.list(journal, new_config(thread_id))]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_newest_checkpoint_reads_as_before_when_all_others_are_gone(
    calls: SyncCalls, seed: int
) -> None:
    """With what tasks wrote next to it; parts that only the others named are freed."""
    journal, thread = filled(calls, seed)
    before, parts = read(calls, journal, "thread"), parts_of(journal)
    calls.call(journal.prune, ["thread"])
    assert read(calls, journal, "thread") == before[:1]
    thread.load(calls.call(journal.get_tuple, new_config("thread")))
    assert parts_of(journal) < parts / 2
    calls.call(journal.put, *thread.next())
    assert len(calls.list(journal, new_config("thread"))) == 2


def test_young_checkpoints_are_kept(calls: SyncCalls) -> None:
    """`older_than` says how old those are that go; the newest is never one of them."""
    journal, _ = filled(calls, steps=10)
    before = read(calls, journal, "thread")
    calls.call(journal.prune, ["thread"], older_than=timedelta(hours=1))
    assert read(calls, journal, "thread") == before
    calls.call(journal.prune, ["thread"], older_than=timedelta(seconds=-1))
    assert read(calls, journal, "thread") == before[:1]


def test_a_copy_reads_as_what_it_is_of_whatever_becomes_of_that(calls: SyncCalls) -> None:
    """The copy goes on by itself, and keeps what both had when the other is deleted."""
    journal, thread = filled(calls)
    before = read(calls, journal, "thread")
    calls.call(journal.copy_thread, "thread", "copy")
    assert read(calls, journal, "copy") == before
    calls.call(journal.put, *thread.next())
    calls.call(journal.delete_thread, "thread")
    assert read(calls, journal, "thread") == []
    assert read(calls, journal, "copy") == before
    calls.call(journal.prune, ["copy"])
    assert read(calls, journal, "copy") == before[:1]
    other = Thread(States(3), "copy")
    other.load(calls.call(journal.get_tuple, new_config("copy")))
    calls.call(journal.put, *other.next())
    assert read(calls, journal, "copy")[1:] == before[:1]


def test_a_copy_of_many_checkpoints_takes_no_second(calls: SyncCalls) -> None:
    """It names the parts of the thread it is of."""
    journal = calls.open()
    thread = Thread(States(1), "thread")
    put = []
    for _ in range(1000):
        thread.values = {}
        put.append(("put", thread.next()))
    journal.put_together(put)
    began = time.process_time()
    calls.call(journal.copy_thread, "thread", "copy")
    assert time.process_time() - began < 0.5
    assert len(calls.list(journal, new_config("copy"), limit=2000)) == 1000


def test_what_was_copied_or_deleted_can_be_again(calls: SyncCalls) -> None:
    """A thread that is there is not written over."""
    journal, _ = filled(calls, steps=3)
    calls.call(journal.copy_thread, "thread", "copy")
    with pytest.raises(ValueError, match="'copy' exists already"):
        calls.call(journal.copy_thread, "thread", "copy")
    calls.call(journal.delete_thread, "copy")
    calls.call(journal.copy_thread, "thread", "copy")
    assert read(calls, journal, "copy") == read(calls, journal, "thread")


def stored(journal: Any, thread_id: str = "thread") -> int:
    """Return how many bytes the checkpoints of a thread take, without their parts."""
    storage = journal._storage
    [line] = storage.carry_out(FindLines(thread_id))
    rows = storage.carry_out(ReadRows(line.number, 0, 1 << 29))
    return sum(len(row.body or b"") for row in rows)


def conversation(calls: SyncCalls, turns: int) -> tuple[Any, list[str]]:
    """Return a journal with a thread that grows by a message a turn, and the times of its turns."""
    journal, times = calls.open(), []
    thread = Thread(States(1), "thread")
    for turn in range(turns):
        config, checkpoint, metadata, _ = thread.next()
        messages = [f"{number} {number % 7 * 'x'}" * 30 for number in range(turn + 1)]
        checkpoint["channel_values"] = {"messages": messages, "turn": turn}
        checkpoint["channel_versions"] = versions = {"messages": turn + 1, "turn": turn + 1}
        metadata["run_id"] = "odd" if turn % 2 else f"run{turn // 20}"
        calls.call(journal.put, config, checkpoint, metadata, versions)
        calls.call(
            journal.put_writes, new_config("thread", checkpoint["id"]), [("turn", turn)], "t"
        )
        times.append(checkpoint["ts"])
    return journal, times


@pytest.mark.parametrize("gone", ["the first", "half", "every other", "a row of them"])
def test_what_is_kept_takes_no_more_than_before(calls: SyncCalls, gone: str) -> None:
    """Rows are differences to others, and stay so when some of those go."""
    journal, times = conversation(calls, 70)
    before, all_of_it = stored(journal), read(calls, journal, "thread")
    if gone == "the first":
        calls.call(journal.prune, ["thread"], older_than=datetime.fromisoformat(times[1]))
        kept = all_of_it[:-1]
    elif gone == "half":
        calls.call(journal.prune, ["thread"], older_than=datetime.fromisoformat(times[35]))
        kept = all_of_it[:-35]
    elif gone == "every other":
        calls.call(journal.delete_for_runs, ["odd"])
        kept = all_of_it[1::2]
    else:
        calls.call(journal.delete_for_runs, ["odd", "run1"])
        kept = [each for each in all_of_it if each["metadata"]["run_id"] not in ("odd", "run1")]
    assert read(calls, journal, "thread") == kept
    assert stored(journal) < before
    fresh = calls.fresh(journal)
    assert read(calls, fresh, "thread") == kept
    config = new_config("thread", kept[0]["id"])
    own = Thread(States(3), "thread")
    own.load(calls.call(fresh.get_tuple, config))
    calls.call(fresh.put, *own.next())
    assert read(calls, journal, "thread")[1:] == kept


def test_pruning_is_no_reason_to_keep_a_thread(calls: SyncCalls, fake_clock: Any) -> None:
    """What goes for its age goes by when a program has written to it."""
    journal, _ = filled(calls, steps=3)
    fake_clock.sleep(1000)
    calls.call(journal.prune, ["thread"])
    assert len(read(calls, journal, "thread")) == 1
    calls.call(journal.delete_untouched, timedelta(seconds=500))
    assert read(calls, journal, "thread") == []


@pytest.mark.parametrize("is_sudden", [False, True])
def test_nothing_is_copied_onto_a_thread_that_is_partly_there(
    calls: SyncCalls, is_sudden: bool
) -> None:
    """Whichever of its namespaces is, and if somebody makes it just then."""
    journal, thread = filled(calls, steps=2)
    _, *put = thread.next()
    for ns in ("a", "z"):
        nested = {"configurable": {**new_config("thread")["configurable"], "checkpoint_ns": ns}}
        calls.call(journal.put, nested, *put)
    storage, other = journal._storage, Journal(journal._storage)
    there = new_config("copy", ns="z")

    def carry_out(request: Any, **options: Any) -> Any:
        if isinstance(request, CopyLines) and other.get_tuple(there) is None:
            other.put(there, *put)
        return type(storage).carry_out(storage, request, **options)

    if is_sudden:
        storage.carry_out = carry_out
    else:
        other.put(there, *put)
    with pytest.raises(ValueError, match="'copy' exists already"):
        calls.call(journal.copy_thread, "thread", "copy")
    assert len(calls.list(journal, {"configurable": {"thread_id": "copy"}})) == 1
    assert len(calls.list(journal, {"configurable": {"thread_id": "thread"}})) == 4
    calls.call(journal.delete_thread, "copy")
    calls.call(journal.put, there, *put)


def test_a_thread_that_is_deleted_as_it_is_copied_leaves_no_copy(calls: SyncCalls) -> None:
    """Nor an empty one."""
    journal, _ = filled(calls, steps=2)
    storage, other = journal._storage, Journal(journal._storage)

    def carry_out(request: Any, **options: Any) -> Any:
        if isinstance(request, CopyLines):
            other.delete_thread("thread")
        return type(storage).carry_out(storage, request, **options)

    storage.carry_out = carry_out
    calls.call(journal.copy_thread, "thread", "copy")
    del storage.carry_out
    assert storage.carry_out(FindLines("copy")) == []
    calls.call(journal.put, *Thread(States(1), "copy").next())


def test_idle_threads_go(calls: SyncCalls) -> None:
    """Those that nobody has written to for so long, and no others."""
    journal, _ = filled(calls, steps=2)
    calls.call(journal.delete_untouched, timedelta(hours=1))
    assert len(read(calls, journal, "thread")) == 2
    calls.call(journal.delete_untouched, timedelta(seconds=-5))
    assert read(calls, journal, "thread") == []


def test_another_who_has_read_before_does_not_name_parts_that_are_gone(lasting: SyncCalls) -> None:
    """What a process remembers of a line that was pruned is not believed."""
    calls = lasting
    journal, _ = filled(calls)
    other = calls.open()
    own = Thread(States(5), "thread")
    own.load(calls.call(other.get_tuple, new_config("thread")))
    calls.call(journal.prune, ["thread"])
    calls.call(other.put, *own.next())
    found = read(calls, other, "thread")
    assert len(found) == 2
    assert found == read(calls, journal, "thread")


def test_history_reads_what_is_asked_for(calls: SyncCalls) -> None:
    """A limit, an end and metadata choose the same checkpoints as from a list of all."""
    journal, _ = filled(calls, steps=100)
    everything = calls.list(journal, new_config("thread"))
    assert len(everything) == 100
    for limit in (0, 1, 10, 64, 100, 200):
        found = calls.list(journal, new_config("thread"), limit=limit)
        assert [each.config for each in found] == [each.config for each in everything[:limit]]
    before = calls.list(journal, new_config("thread"), before=everything[40].config, limit=3)
    assert [each.config for each in before] == [each.config for each in everything[41:44]]
    run = calls.list(journal, None, filter={"run": "run3"})
    assert [each.metadata["step"] for each in run] == list(range(39, 29, -1))
    one = calls.list(journal, None, filter={"run": "run3", "step": 35}, limit=1)
    assert [each.metadata["step"] for each in one] == [35]
    assert calls.list(journal, None, filter={"run": "nobody's"}) == []


def test_a_copy_has_the_numbers_of_what_was_written_while_it_began(calls: SyncCalls) -> None:
    """Whoever stores meanwhile is in the copy, and the copy can be gone on from."""
    journal, thread = filled(calls, steps=3)
    storage, other = journal._storage, Journal(journal._storage)

    def carry_out(request: Any, **options: Any) -> Any:
        if isinstance(request, CopyLines):
            other.put(*thread.next())
            other.put_writes(*thread.writes())
        return type(storage).carry_out(storage, request, **options)

    storage.carry_out = carry_out
    calls.call(journal.copy_thread, "thread", "copy")
    del storage.carry_out
    before = read(calls, journal, "thread")
    assert len(before) == 4
    own = Thread(States(3), "copy")
    own.load(calls.call(journal.get_tuple, new_config("copy")))
    calls.call(journal.put, *own.next())
    calls.call(journal.put_writes, *own.writes())
    assert read(calls, journal, "copy")[1:] == before


def test_what_tasks_wrote_for_a_checkpoint_that_is_coming_is_not_pruned(calls: SyncCalls) -> None:
    """LangGraph stores both at once, so in any order; and somebody may prune in between."""
    journal, thread = filled(calls, steps=3)
    put = thread.next()
    writes = [("channel", "important")]
    calls.call(journal.put_writes, new_config("thread", thread.parent), writes, "task")
    calls.call(journal.prune, ["thread"])
    calls.call(journal.put, *put)
    found = calls.list(journal, new_config("thread"))
    assert len(found) == 2
    assert found[0].pending_writes == [("task", "channel", "important")]
    calls.call(journal.prune, ["thread"], strategy="delete")
    assert calls.list(journal, new_config("thread")) == []


class Priority(enum.IntEnum):
    """Equal to its number."""

    HIGH = 3


class Colour(str, enum.Enum):
    """Equal to its text."""

    RED = "red"


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (Priority.HIGH, 3),
        (3, Priority.HIGH),
        (Colour.RED, "red"),
        ("red", Colour.RED),
        (decimal.Decimal(3), 3),
        (0.0, -0.0),
        (True, 1),
    ],
)
def test_checkpoints_are_found_by_what_their_metadata_is_equal_to(
    calls: SyncCalls, stored: Any, wanted: Any
) -> None:
    """In one thread and in all of them."""
    journal = calls.open()
    for name, value in (("thread", stored), ("other", "something else")):
        config, checkpoint, metadata, versions = Thread(States(1), name).next()
        metadata["label"] = value
        calls.call(journal.put, config, checkpoint, metadata, versions)
    for config in (None, new_config("thread")):
        assert len(calls.list(journal, config, filter={"label": wanted})) == 1


def test_a_thread_gets_a_name_that_nobody_has(calls: SyncCalls) -> None:
    journal, thread = filled(calls, steps=10)
    before = read(calls, journal, "thread")
    calls.call(journal.copy_thread, "thread", "other")

    def rename(target: str) -> bool:
        return change(journal, lambda memory, _: rename_thread(memory, "thread", target))

    assert not rename("other")
    assert read(calls, journal, "thread") == before
    assert rename("new")
    for reader in (journal, calls.fresh(journal)):
        assert read(calls, reader, "new") == read(calls, reader, "other") == before
        assert read(calls, reader, "thread") == []
    calls.call(journal.put, *thread.next())
    assert len(read(calls, journal, "thread")) == 1
    assert read(calls, journal, "new") == before
    assert list(check(journal)) == []
