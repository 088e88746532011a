"""What is read of a journal where rows are damaged, pruned beside, or in an order of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from journal.journals import SyncCalls, new_config
from journal.states import States, Thread
from millstream.journal.damage import DamagedRow
from millstream.journal.rows import PageRows, ReadParts, ReadRows


def put(calls: SyncCalls, journal: Any, number: int, parent: int | None = None) -> None:
    """Store a checkpoint whose id and only value are a number."""
    checkpoint = empty_checkpoint()
    checkpoint["id"] = f"id-{number:04}"
    checkpoint["channel_values"] = {"value": number}
    versions: Any = {"value": number}
    checkpoint["channel_versions"] = versions
    config = new_config("thread", None if parent is None else f"id-{parent:04}")
    calls.call(journal.put, config, checkpoint, {"step": number}, versions)


def chain(calls: SyncCalls, count: int) -> Any:
    """Return a journal with a thread of so many checkpoints."""
    journal = calls.open(on_conflict="fork")
    for number in range(1, count + 1):
        put(calls, journal, number, number - 1 or None)
    return journal


def values(found: list[Any]) -> list[int]:
    """Return the values of checkpoints."""
    return [each.checkpoint["channel_values"]["value"] for each in found]


@pytest.mark.parametrize("limit", [None, 10])
def test_a_damaged_row_is_an_error_of_the_list_that_meets_it(
    calls: SyncCalls, limit: int | None
) -> None:
    """The page is not passed over in silence, and the error says where to look."""
    journal = chain(calls, 80)
    storage = journal._storage

    def carry_out(request: Any, **options: Any) -> Any:
        answer = type(storage).carry_out(storage, request, **options)
        if isinstance(request, (PageRows, ReadRows)):
            return [row._replace(body=b"\0\xc1") if row.number == 75 else row for row in answer]
        return answer

    storage.carry_out = carry_out
    with pytest.raises(DamagedRow, match=r"id-00\d\d' of thread 'thread' is damaged"):
        calls.list(journal, new_config("thread"), limit=limit)


def test_a_list_goes_on_where_it_was_when_rows_are_pruned_beside(calls: SyncCalls) -> None:
    """The page is read again, and what is left of it is there."""
    journal = chain(calls, 40)
    storage, answers = journal._storage, []

    def carry_out(request: Any, **options: Any) -> Any:
        answer = type(storage).carry_out(storage, request, **options)
        if isinstance(request, ReadRows):
            answers.append(answer)
            if len(answers) == 1:
                return []  # gone since the page was read
        return answer

    storage.carry_out = carry_out
    assert values(calls.list(journal, new_config("thread"))) == list(range(40, 0, -1))
    assert len(answers) > 1


def many_threads(calls: SyncCalls, threads: int, each: int) -> tuple[Any, list[str], list[Any]]:
    """Return a journal with threads that were written to in turn, the ids, and what it is asked."""
    journal = calls.open()
    own = [Thread(States(number), f"thread{number}") for number in range(threads)]
    puts = [thread.next() for _ in range(each) for thread in own]
    journal.put_together([("put", put) for put in puts])
    ids = sorted([put[1]["id"] for put in puts], reverse=True)
    return journal, ids, asked_of(journal)


def asked_of(journal: Any) -> list[Any]:
    """Return what a journal asks of its storage from now on, with the answers."""
    storage, asked = journal._storage, []

    def carry_out(request: Any, **options: Any) -> Any:
        answer = type(storage).carry_out(storage, request, **options)
        asked.append((request, answer))
        return answer

    storage.carry_out = carry_out
    return asked


@pytest.mark.parametrize("each", [1, 6, 20])
def test_all_threads_are_listed_for_about_what_they_have(calls: SyncCalls, each: int) -> None:
    """However many there are, none is read again for each page."""
    journal, ids, asked = many_threads(calls, 10, each)
    found = calls.list(journal, None)
    assert [saved.checkpoint["id"] for saved in found] == ids
    read = [answer for request, answer in asked if isinstance(request, PageRows)]
    assert sum(map(len, read)) == len(ids)
    assert len(read) <= 10 * (each // 16 + 4)


def test_a_few_of_all_threads_are_read_where_a_few_are_asked_for(calls: SyncCalls) -> None:
    """Of the others only which checkpoint is their newest."""
    journal, ids, asked = many_threads(calls, 30, 6)
    found = calls.list(journal, None, limit=10)
    assert [saved.checkpoint["id"] for saved in found] == ids[:10]
    read = [answer for request, answer in asked if isinstance(request, PageRows)]
    assert sum(map(len, read)) <= 40
    before = {"configurable": {"thread_id": "thread0", "checkpoint_id": ids[9]}}
    found = calls.list(journal, None, limit=33, before=before)
    assert [saved.checkpoint["id"] for saved in found] == ids[10:43]


@pytest.mark.parametrize("limit", [1, 5, 32, 40])
def test_of_one_thread_as_many_rows_are_read_as_are_asked_for(calls: SyncCalls, limit: int) -> None:
    """Not the next page too."""
    journal, ids, asked = many_threads(calls, 1, 80)
    found = calls.list(journal, new_config("thread0"), limit=limit)
    assert [saved.checkpoint["id"] for saved in found] == ids[:limit]
    read = [answer for request, answer in asked if isinstance(request, PageRows)]
    assert sum(map(len, read)) == limit


def test_what_checkpoints_have_in_common_is_read_as_objects_of_their_own(
    calls: SyncCalls,
) -> None:
    """Whoever changes a value in one of them does not change it in the others."""
    journal = calls.open()
    texts = [f"{number} " * 300 for number in range(40)]
    parent = None
    for number in range(3):
        checkpoint = empty_checkpoint()
        checkpoint["id"] = f"id-{number:04}"
        checkpoint["channel_values"] = {"texts": texts, "number": number}
        versions: Any = {"texts": 1, "number": number + 1}
        checkpoint["channel_versions"] = versions
        changed = versions if parent is None else {"number": number + 1}
        calls.call(journal.put, new_config("thread", parent), checkpoint, {}, changed)
        parent = checkpoint["id"]
    asked = asked_of(journal)
    found = calls.list(journal, new_config("thread"))
    read = [key for request, keys in asked if isinstance(request, ReadParts) for key in keys]
    assert len(read) == len(set(read)) >= 40
    for saved in found:
        assert saved.checkpoint["channel_values"]["texts"] == texts
        saved.checkpoint["channel_values"]["texts"].clear()


def test_copies_are_listed_next_to_each_other(calls: SyncCalls) -> None:
    """Their checkpoints have the same ids."""
    journal = chain(calls, 70)
    for name in ("copy", "other"):
        calls.call(journal.copy_thread, "thread", name)
    found = calls.list(journal, None)
    assert values(found) == [number for number in range(70, 0, -1) for _ in range(3)]
    assert values(calls.list(journal, None, limit=100)) == values(found[:100])


def test_a_checkpoint_that_had_writes_first_is_listed_with_what_it_builds_on(
    calls: SyncCalls,
) -> None:
    """Its row has a number from before, and may build on one that is read for another."""
    journal = chain(calls, 1)
    writes = [("value", 1)]
    calls.call(journal.put_writes, new_config("thread", "id-0003"), writes, "task")
    put(calls, journal, 2, 1)
    put(calls, journal, 3, 1)
    put(calls, journal, 4, 3)
    for limit in (1, 2, 3, 4):
        found = calls.list(journal, new_config("thread"), limit=limit)
        assert values(found) == [4, 3, 2, 1][:limit]


@pytest.mark.parametrize("is_fresh", [False, True])
def test_writes_wait_for_their_checkpoint_whatever_is_stored_before_it(
    calls: SyncCalls, is_fresh: bool
) -> None:
    """Who stores it may be another process than the one that has stored the writes."""
    journal = chain(calls, 1)
    for number in (3, 5):
        config = new_config("thread", f"id-{number:04}")
        calls.call(journal.put_writes, config, [("value", number)], "task")
    put(calls, journal, 2, 1)
    if is_fresh:
        journal = calls.fresh(journal, on_conflict="fork")
    put(calls, journal, 3, 1)
    put(calls, journal, 4, 3)
    if is_fresh:
        journal = calls.fresh(journal, on_conflict="fork")
    put(calls, journal, 5, 4)
    found = calls.list(journal, new_config("thread"))
    assert values(found) == [5, 4, 3, 2, 1]
    written = [[value for _, _, value in each.pending_writes] for each in found]
    assert written == [[5], [], [3], [], []]


@pytest.mark.parametrize("is_fresh", [False, True])
def test_the_first_checkpoint_of_a_thread_may_be_stored_after_its_writes(
    calls: SyncCalls, is_fresh: bool
) -> None:
    """LangGraph stores both at once, also on a thread that has nothing yet."""
    journal = calls.open(on_conflict="fork")
    calls.call(journal.put_writes, new_config("thread", "id-0001"), [("value", 1)], "task")
    if is_fresh:
        journal = calls.fresh(journal, on_conflict="fork")
    put(calls, journal, 1)
    put(calls, journal, 2, 1)
    found = calls.list(journal, new_config("thread"))
    assert values(found) == [2, 1]
    assert [each.pending_writes for each in found] == [[], [("task", "value", 1)]]


@pytest.mark.parametrize("is_together", [False, True])
def test_a_checkpoint_that_is_stored_again_is_the_parent_that_it_was(
    calls: SyncCalls, is_together: bool
) -> None:
    """Others may have been stored on top of it before."""
    journal = calls.open(on_conflict="fork")
    thread = Thread(States(1), "thread")
    puts = [thread.next() for _ in range(3)]
    puts.append(puts[1])
    if is_together:
        journal.put_together([("put", put) for put in puts])
    else:
        for put in puts:
            calls.call(journal.put, *put)
    ids = [put[1]["id"] for put in puts[:3]]
    journal = calls.fresh(journal)
    found = calls.list(journal, new_config("thread"))
    assert [each.checkpoint["id"] for each in found] == ids[::-1]
    parents = [each.parent_config["configurable"]["checkpoint_id"] for each in found[:-1]]
    assert parents == ids[-2::-1]
    calls.call(journal.delete_for_runs, ["none"])
    calls.call(journal.prune, ["thread"])
    newest = calls.call(calls.fresh(journal).get_tuple, new_config("thread"))
    assert newest.parent_config["configurable"]["checkpoint_id"] == ids[1]


def test_rows_that_build_on_earlier_ones_are_read_from_where_those_begin() -> None:
    """Whatever was wanted for the rows before them."""
    from millstream.journal.reading import read_states
    from millstream.journal.rows import CheckpointRow

    rows = [
        CheckpointRow(1, number, f"id{number}", root, 1, b"")
        for number, root in ((3, 3), (5, 5), (6, 2))
    ]
    steps = read_states(1, rows, None)  # type: ignore[arg-type]  # nothing is opened
    request = next(steps)
    assert request == ReadRows(1, 2, 6)


def test_an_empty_id_names_the_newest_checkpoint(calls: SyncCalls) -> None:
    """As with LangGraph's savers: programs send what a form has."""
    journal = chain(calls, 2)
    config = new_config("thread", "")
    assert calls.call(journal.get_tuple, config).checkpoint["id"] == "id-0002"
    assert len(calls.list(journal, config)) == 2
    assert len(calls.list(journal, new_config("thread"), before=config)) == 2


@pytest.mark.parametrize("named", [None, ""])
def test_writes_without_a_checkpoint_are_refused(calls: SyncCalls, named: str | None) -> None:
    """They would be stored where nobody looks, and be newer than all."""
    journal = chain(calls, 1)
    with pytest.raises(ValueError, match="task 't' on thread 'thread': the config names no"):
        calls.call(journal.put_writes, new_config("thread", named), [("value", 1)], "t")
    assert not calls.call(journal.get_tuple, new_config("thread")).pending_writes


@pytest.mark.parametrize("size", [3, 255, 256, 257, 5000])
def test_bytearrays_read_as_they_were_stored(calls: SyncCalls, size: int) -> None:
    """They are serialized as they are, and may be changed afterwards."""
    journal = calls.open()
    value = bytearray(b"x" * size)
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {"value": value}
    checkpoint["channel_versions"] = {"value": 1}
    calls.call(journal.put, new_config("thread"), checkpoint, {}, {"value": 1})
    config = new_config("thread", checkpoint["id"])
    calls.call(journal.put_writes, config, [("value", value)], "task")
    value[:] = b"changed"
    found = calls.call(journal.get_tuple, new_config("thread"))
    read = [found.checkpoint["channel_values"]["value"], found.pending_writes[0][2]]
    assert read == [bytearray(b"x" * size)] * 2
    assert {type(each) for each in read} == {bytearray}


@pytest.mark.parametrize("ts", ["2024-01-01T00:00:00.000000+00:00", "2024-01-01T00:00:00+00:00"])
def test_times_read_as_they_were_written(calls: SyncCalls, ts: str) -> None:
    """Also on the second."""
    journal = calls.open()
    checkpoint = empty_checkpoint()
    checkpoint["ts"] = ts
    calls.call(journal.put, new_config("thread"), checkpoint, {}, {})
    [found] = calls.list(journal, new_config("thread"))
    assert found.checkpoint["ts"] == ts


def test_a_program_may_call_setup_or_await_it(calls: SyncCalls) -> None:
    """As it must with other savers, sync or async; there is nothing to do."""
    journal = calls.open()

    async def run() -> None:
        await journal.setup()
        await journal.setup()

    journal.setup()
    asyncio.run(run())
    put(calls, journal, 1)
    assert values(calls.list(journal, new_config("thread"))) == [1]
