"""A journal in a file: many threads, several processes, and what a file may do to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import TypedDict

from journal.journals import DRIVERS, SyncCalls, new_config
from journal.states import States, Thread
from millstream.graph import START, StateGraph
from millstream.journal import (
    SqliteJournal,
    sqlite,
    sqlite_commits,
    sqlite_packs,
    sqlite_rows,
    sqlite_schema,
)
from millstream.journal.damage import DamagedRow
from millstream.journal.rows import FindCheckpoint
from millstream.journal.sqlite import JournalClosedError
from millstream.journal.sqlite_schema import NewerSchemaError

ADDING = """
import sys
from langgraph.checkpoint.base import empty_checkpoint
from millstream.journal import (
    SqliteJournal,
    sqlite,
    sqlite_commits,
    sqlite_packs,
    sqlite_rows,
    sqlite_schema,
)
from millstream.errors import ThreadBusyError
path, name = sys.argv[1:]
with SqliteJournal(path) as journal:
    for turn in range(40):
        for thread in (name, "shared"):
            config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
            while True:
                saved = journal.get_tuple(config)
                items = [] if saved is None else saved.checkpoint["channel_values"]["items"]
                version = 1 if saved is None else saved.checkpoint["channel_versions"]["items"] + 1
                checkpoint = empty_checkpoint()
                checkpoint["channel_values"] = {"items": [*items, f"{name} {turn} " + "x" * 300]}
                checkpoint["channel_versions"] = {"items": version}
                parent = config if saved is None else saved.config
                try:
                    head = ("", None if saved is None else saved.checkpoint["id"])
                    put = ("put", (parent, checkpoint, {"step": turn}, {"items": version}))
                    journal.put_together([put], expects=head)
                except ThreadBusyError:
                    continue
                break
"""


@pytest.fixture(params=DRIVERS)
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Give the test a file under one driver."""
    with DRIVERS[request.param]("sqlite", str(tmp_path / "threads.db")) as calls:
        yield calls


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Neither in threads of their own nor in one that all of them add to."""
    path = str(tmp_path / "threads.db")
    names = ["a", "b", "c"]
    started = [
        subprocess.Popen([sys.executable, "-c", ADDING, path, name], env={**os.environ})
        for name in names
    ]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    with SqliteJournal(path) as journal:
        for name in names:
            saved = journal.get_tuple(new_config(name))
            items = saved.checkpoint["channel_values"]["items"]
            assert [item.split()[1] for item in items] == [str(turn) for turn in range(40)]
        saved = journal.get_tuple(new_config("shared"))
        found = sorted(item[:4].split() for item in saved.checkpoint["channel_values"]["items"])
        assert found == sorted([name, str(turn)] for name in names for turn in range(40))
        assert len(list(journal.list(new_config("shared")))) == 120


def test_threads_share_commits_and_each_has_what_it_stored(calls: SyncCalls) -> None:
    """Whoever finds the file free stores for those that wait."""
    journal = calls.open()

    def work(number: int) -> list[str]:
        thread = Thread(States(number), f"thread{number}")
        ids = []
        for _ in range(25):
            put = thread.next()
            if calls.driver == "sync":
                journal.put(*put)
            else:
                asyncio.run(journal.aput(*put))
            ids.append(put[1]["id"])
        return ids

    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(work, range(8)))
    for number, ids in enumerate(stored):
        found = calls.list(journal, new_config(f"thread{number}"))
        assert [each.checkpoint["id"] for each in found] == ids[::-1]


def test_whoever_waits_for_another_process_does_not_keep_the_loop(tmp_path: Path) -> None:
    """While the file is locked, other tasks of the loop go on."""
    path = str(tmp_path / "threads.db")
    thread = Thread(States(1), "thread")

    async def run() -> bool:
        async with SqliteJournal(path) as journal:
            await journal.aput(*thread.next())
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            storing = asyncio.ensure_future(journal.aput(*thread.next()))
            for _ in range(20):
                await asyncio.sleep(0)
            was_waiting = not storing.done()
            other.execute("COMMIT")
            other.close()
            await storing
            return was_waiting

    assert asyncio.run(run())


@pytest.mark.parametrize("method", ["aget_tuple", "aput", "alist", "adelete_thread"])
def test_a_loop_goes_on_while_a_file_cannot_be_opened(tmp_path: Path, method: str) -> None:
    """Whatever is called first; nothing was read of the file before."""
    path = str(tmp_path / "threads.db")
    config, *put = Thread(States(1), "thread").next()
    arguments = {"aput": (config, *put), "adelete_thread": ("thread",)}.get(method, (config,))

    async def use(journal: SqliteJournal) -> None:
        if method == "alist":
            assert [each async for each in journal.alist(config)] == []
        else:
            await getattr(journal, method)(*arguments)

    async def run() -> bool:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("CREATE TABLE other (value)")
        other.execute("BEGIN EXCLUSIVE")
        async with SqliteJournal(path, timeout=5) as journal:
            using = asyncio.ensure_future(use(journal))
            for _ in range(20):
                await asyncio.sleep(0)
            was_waiting = not using.done()
            other.execute("COMMIT")
            other.close()
            await using
        return was_waiting

    assert asyncio.run(run())


def test_what_is_being_read_as_the_file_is_closed_is_read(
    calls: SyncCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads closes its own connection, and nobody another's."""
    journal = calls.open()
    calls.call(journal.put, *Thread(States(1), "thread").next())
    calls.call(journal.get_tuple, new_config("thread"))
    reading = sqlite.READING[FindCheckpoint]

    def close_and_read(execute: Any, request: Any) -> Any:
        closing = threading.Thread(target=journal.close)
        closing.start()
        closing.join()
        return reading(execute, request)

    monkeypatch.setitem(sqlite.READING, FindCheckpoint, close_and_read)
    find = FindCheckpoint("thread", "")
    assert journal._storage.carry_out(find).rows
    with pytest.raises(JournalClosedError):
        journal._storage.carry_out(find)
    assert not journal._storage._open
    assert not list(Path(calls.address).parent.glob("*-wal"))


def test_a_file_that_stays_locked_is_an_error_and_nothing_is_stored(calls: SyncCalls) -> None:
    """It says who has it, and the thread can be gone on with when it is free."""
    journal = calls.open(timeout=0.05)
    thread = Thread(States(1), "thread")
    calls.call(journal.put, *thread.next())
    other = sqlite3.connect(calls.address, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    put = thread.next()
    with pytest.raises(sqlite3.OperationalError, match=r"is locked: another process") as raised:
        calls.call(journal.put, *put)
    assert journal._storage.is_general(raised.value)
    assert len(calls.list(journal, new_config("thread"))) == 1
    other.execute("COMMIT")
    other.close()
    calls.call(journal.put, *put)
    assert len(calls.list(journal, new_config("thread"))) == 2


def test_a_full_disk_is_an_error_and_half_of_nothing_is_stored(calls: SyncCalls) -> None:
    """When there is room again, it is stored."""
    journal = calls.open()
    thread = Thread(States(1), "thread")
    calls.call(journal.put, *thread.next())
    writer = journal._storage._writer
    [[pages]] = writer.execute("PRAGMA page_count").fetchall()
    writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    config, checkpoint, metadata, _ = thread.next()
    checkpoint["channel_values"]["large"] = os.urandom(100_000)
    checkpoint["channel_versions"]["large"] = 1
    put = (config, checkpoint, metadata, {"large": 1})
    with pytest.raises(sqlite3.OperationalError, match="full"):
        calls.call(journal.put, *put)
    assert len(calls.list(journal, new_config("thread"))) == 1
    writer.execute("PRAGMA max_page_count = 1000000").fetchall()
    calls.call(journal.put, *put)
    newest = calls.call(journal.get_tuple, new_config("thread"))
    assert newest.checkpoint["channel_values"]["large"] == checkpoint["channel_values"]["large"]


def test_tables_of_a_newer_version_are_left_alone(calls: SyncCalls) -> None:
    """The error names both versions."""
    journal = calls.open()
    calls.call(journal.put, *Thread(States(1), "thread").next())
    calls.close(journal)
    with sqlite3.connect(calls.address) as connection:
        connection.execute("UPDATE journal_numbers SET value = 99 WHERE name = 'version'")
    connection.close()
    with pytest.raises(NewerSchemaError, match=r"version 99, .* up to 2"):
        calls.call(calls.open().get_tuple, new_config("thread"))


def test_a_file_of_the_first_version_is_gone_on_with(
    calls: SyncCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads as before, and what is in it is packed when more comes."""
    thread = Thread(States(2), "thread")
    with monkeypatch.context() as as_before:
        as_before.setattr(sqlite_schema, "MIGRATIONS", sqlite_schema.MIGRATIONS[:1])
        as_before.setattr(sqlite_commits, "pack", lambda *_: None)
        as_before.setattr(sqlite_rows, "read_packed", lambda *_: ({}, set()))
        journal = calls.open()
        for _ in range(12):
            calls.call(journal.put, *thread.next())
        before = calls.list(journal, new_config("thread"))
        calls.close(journal)
    journal = calls.open()
    assert calls.list(journal, new_config("thread")) == before
    for _ in range(8):
        calls.call(journal.put, *thread.next())
    assert calls.list(journal, new_config("thread"))[8:] == before
    calls.close(journal)
    with sqlite3.connect(calls.address) as connection:
        [(first, count)] = connection.execute("SELECT min(key) & 255, count(*) FROM journal_packs")
    connection.close()
    assert first == 0
    assert count > 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal_checkpoints SET body = x'00'",
        "UPDATE journal_checkpoints SET body = x'05'",
        "UPDATE journal_checkpoints SET body = x'0280'",
        "UPDATE journal_checkpoints SET body = x'0093010203'",
        "UPDATE journal_checkpoints SET body = substr(body, 1, length(body) - 3)",
        "UPDATE journal_checkpoints SET root = root + 1",
        "DELETE FROM journal_parts",
        "UPDATE journal_parts SET body = x'07'",
        "UPDATE journal_writes SET body = x'0091a161'",
        "UPDATE journal_packs SET rows = x'00'",
        "UPDATE journal_packs SET rows = NULL",
        "UPDATE journal_packs SET rows = substr(rows, 1, length(rows) - 9)",
        "UPDATE journal_packs SET parts = x'00'",
        "UPDATE journal_packs SET parts = x'000000FF'",
        "UPDATE journal_packs SET parts = substr(parts, 1, length(parts) - 9)",
        "DELETE FROM journal_packs",
    ],
)
def test_rows_that_make_no_sense_are_an_error_and_never_another_value(
    calls: SyncCalls, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the thread and the checkpoint."""
    monkeypatch.setattr(sqlite_packs, "WINDOW", 2 if "packs" in change else 8)
    journal = calls.open()
    thread = Thread(States(4), "thread")
    for _ in range(6):
        calls.call(journal.put, *thread.next())
        calls.call(journal.put_writes, *thread.writes())
    calls.close(journal)
    with sqlite3.connect(calls.address) as connection:
        assert connection.execute(change).rowcount
    connection.close()
    with pytest.raises(DamagedRow, match="of thread 'thread' is damaged"):
        calls.call(calls.open().get_tuple, new_config("thread"))


def test_what_is_closed_says_so_and_no_thread_is_left(calls: SyncCalls) -> None:
    """Closing twice does nothing."""
    before = threading.active_count()
    journal = calls.open()
    thread = Thread(States(1), "thread")
    for _ in range(30):
        calls.call(journal.put, *thread.next())
    calls.close(journal)
    calls.close(journal)
    with pytest.raises(JournalClosedError, match=r"threads\.db' is closed"):
        calls.call(journal.get_tuple, new_config("thread"))
    if calls.driver == "sync":
        assert threading.active_count() == before


def test_a_log_that_has_grown_is_written_back(calls: SyncCalls) -> None:
    """By a thread that ends then."""
    journal = calls.open()
    thread = Thread(States(1), "thread")
    journal._storage._written = 1 << 30
    calls.call(journal.put, *thread.next())
    tidying = journal._storage._tidying
    tidying.join(30)
    assert not tidying.is_alive()
    calls.call(journal.put, *thread.next())
    assert len(calls.list(journal, new_config("thread"))) == 2


def test_a_forked_process_has_connections_of_its_own(tmp_path: Path) -> None:
    """Those of the process that it comes from are not touched."""
    with SqliteJournal(tmp_path / "threads.db") as journal:
        thread = Thread(States(1), "thread")
        journal.put(*thread.next())
        put = thread.next()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                journal.put(*put)
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(list(journal.list(new_config("thread")))) == 2
        journal.put(*thread.next())
        assert len(list(journal.list(new_config("thread")))) == 3


def test_an_interrupt_as_a_transaction_begins_leaves_none_open(tmp_path: Path) -> None:
    """Ctrl-C may come when SQLite has begun it, and Python has not been told yet."""
    path = str(tmp_path / "threads.db")
    journal, other = SqliteJournal(path, timeout=0.1), SqliteJournal(path, timeout=0.1)
    thread = Thread(States(1), "thread")
    journal.put(*thread.next())
    storage = journal._storage
    begin = storage._lock_file  # type: ignore[attr-defined]  # SQLite's

    def begin_and_fail(*args: Any, **options: Any) -> None:
        begin(*args, **options)
        raise KeyboardInterrupt

    storage._lock_file = begin_and_fail  # type: ignore[attr-defined]
    put = thread.next()
    with pytest.raises(KeyboardInterrupt):
        journal.put(*put)
    storage._lock_file = begin  # type: ignore[attr-defined]
    own = Thread(States(2), "other")
    other.put(*own.next())
    begin(storage._writing(may_wait=True), may_wait=True)  # type: ignore[attr-defined]
    journal.put(*put)
    other.put(*own.next())
    assert len(list(other.list(new_config("thread")))) == 2
    journal.close()
    other.close()


def test_an_interrupt_as_the_tables_are_made_leaves_the_file_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens it next makes them."""
    path = str(tmp_path / "threads.db")
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)

    class Interrupted:
        """Begins a transaction, and is interrupted."""

        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

        def execute(self, query: str) -> Any:
            done = connection.execute(query)
            if query == "BEGIN IMMEDIATE":
                raise KeyboardInterrupt
            return done

    storage = sqlite.SqliteStorage(path)
    with pytest.raises(KeyboardInterrupt):
        storage._set_up(Interrupted())  # type: ignore[arg-type]  # as good as one
    assert not connection.in_transaction
    connection.close()


def test_a_relative_path_is_where_it_was_when_the_journal_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever directory the program goes to before more connections are made."""
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    monkeypatch.chdir(before)
    with SqliteJournal("threads.db") as journal:
        monkeypatch.chdir(after)
        journal.put(*Thread(States(1), "thread").next())
        assert journal.get_tuple(new_config("thread")) is not None
    assert (before / "threads.db").exists()
    assert list(after.iterdir()) == []


def in_fork(work: Callable[[], object]) -> int:
    """Return the exit code of a process that is forked and works: 0, unless that fails or hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(20)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_process_takes_numbers_of_its_own(tmp_path: Path) -> None:
    """Those that were reserved are for the process that it comes from."""
    with SqliteJournal(tmp_path / "threads.db") as journal:
        journal.put(*Thread(States(1), "first").next())

        def work() -> None:
            for number in range(30):
                journal.put(*Thread(States(number), f"child{number}").next())

        assert in_fork(work) == 0
        journal.put(*Thread(States(3), "parent").next())
        for name in ("first", "child0", "child29", "parent"):
            assert len(list(journal.list(new_config(name)))) == 1


def test_a_forked_process_does_not_wait_for_whoever_was_writing(tmp_path: Path) -> None:
    """That was a thread of the process that it comes from, and is not there."""
    with SqliteJournal(tmp_path / "threads.db") as journal:
        journal.put(*Thread(States(1), "first").next())
        with journal._lane._lock:  # type: ignore[attr-defined]  # as a thread that writes has it
            assert in_fork(lambda: journal.put(*Thread(States(2), "child").next())) == 0
        assert len(list(journal.list(new_config("child")))) == 1


def test_a_thread_is_deleted_whoever_writes_in_between(tmp_path: Path) -> None:
    """That the file does not get smaller at once is no reason to leave parts behind."""
    path = str(tmp_path / "threads.db")
    with SqliteJournal(path) as journal:
        thread = Thread(States(1), "thread")
        for _ in range(10):
            journal.put(*thread.next())
        other = sqlite3.connect(path, isolation_level=None, timeout=0)
        writer = journal._storage._writer  # type: ignore[attr-defined]  # SQLite's

        class Hindered:
            """Lets somebody else write just after each commit."""

            in_transaction = False

            def execute(self, query: str, *values: Any) -> Any:
                if query == "PRAGMA incremental_vacuum":
                    other.execute("BEGIN IMMEDIATE")
                    try:
                        return writer.execute(query, *values)
                    finally:
                        other.execute("COMMIT")
                return writer.execute(query, *values)

        journal._storage._writer = Hindered()  # type: ignore[attr-defined]
        journal.delete_thread("thread")
        journal._storage._writer = writer  # type: ignore[attr-defined]
        assert other.execute("SELECT count(*) FROM journal_parts").fetchone() == (0,)
        other.close()


class Count(TypedDict):
    n: int


class Counted(SqliteJournal):
    """Counts what is stored together."""

    handed: list[int]

    async def aput_together(self, calls: Any, **options: Any) -> None:
        self.handed.append(len(calls))
        await super().aput_together(calls, **options)


def test_supersteps_behind_an_async_run_share_transactions(tmp_path: Path) -> None:
    """Four of them, with what their tasks wrote: as many as may be lost at once."""

    async def step(state: dict[str, int]) -> dict[str, int]:
        return {"n": state["n"] + 1}

    async def run() -> tuple[list[int], int]:
        builder: Any = StateGraph(Count)
        builder.add_sequence([(f"step {n}", step) for n in range(40)]).add_edge(START, "step 0")
        async with Counted(tmp_path / "threads.db") as journal:
            journal.handed = []
            graph = builder.compile(checkpointer=journal)
            config = {"configurable": {"thread_id": "thread"}, "recursion_limit": 100}
            await graph.ainvoke({"n": 0}, config, durability="async")
            return journal.handed, len([found async for found in graph.aget_state_history(config)])

    handed, stored = asyncio.run(run())

    assert stored == 42  # with the input, and what it led to
    assert sum(handed) == 83  # each but the first with the writes that led to it
    assert max(handed) == 9
    assert len(handed) < 15
