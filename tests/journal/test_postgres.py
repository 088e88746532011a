"""What is PostgreSQL's own: its tables, its connections, and whoever stands between."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from journal.journals import new_config
from journal.states import States, Thread
from millstream.journal import PostgresJournal
from millstream.journal.postgres_direct import Direct
from millstream.journal.storage import JournalClosedError, NewerSchemaError

psycopg = pytest.importorskip("psycopg")
psycopg_pool = pytest.importorskip("psycopg_pool")


@pytest.fixture
def address(postgres: str) -> str:
    """Give a database that has no journal."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
    return postgres


@pytest.fixture
def journal(address: str) -> Iterator[PostgresJournal]:
    """Give a journal that is closed afterwards."""
    with PostgresJournal(address) as journal:
        yield journal


def ask(address: str, query: str) -> list[Any]:
    """Return what the server says."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def lose_connections(address: str) -> None:
    """Have the server end all connections to a database but its own."""
    ask(
        address,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def test_processes_that_begin_at_once_make_the_tables_once(address: str) -> None:
    start = threading.Barrier(6)

    def begin(number: int) -> None:
        with PostgresJournal(address) as journal:
            start.wait()
            journal.put(*Thread(States(number), f"thread{number}").next())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))
    with PostgresJournal(address) as journal:
        assert len(list(journal.list(None))) == 6


def test_tables_of_a_newer_version_are_refused(address: str, journal: PostgresJournal) -> None:
    journal.put(*Thread(States(1), "thread").next())
    ask(address, "UPDATE millstream.journal_numbers SET value = 1000 WHERE name <> 'lines'")
    with PostgresJournal(address) as newer, pytest.raises(NewerSchemaError) as raised:
        newer.get_tuple(new_config("thread"))
    assert raised.value.found == 1000
    assert "'millstream'" in str(raised.value)


def test_the_schema_has_any_name(address: str) -> None:
    name = 'of "100 %s" {lines} @ work'
    with PostgresJournal(address, schema=name) as journal:
        journal.put(*Thread(States(1), "thread").next())
        assert journal.get_tuple(new_config("thread")) is not None
    with PostgresJournal(address) as other:
        assert other.get_tuple(new_config("thread")) is None
    with psycopg.connect(address, autocommit=True) as connection:
        name = psycopg.sql.Identifier(name)
        connection.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(name))


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_pool_is_used_as_it_is_and_not_closed(address: str, autocommit: bool) -> None:
    """Rows of another form, or transactions that do not end by themselves, do not matter."""
    options = {"autocommit": autocommit, "row_factory": psycopg.rows.dict_row}
    with psycopg_pool.ConnectionPool(
        address, min_size=1, max_size=2, kwargs=options, open=True
    ) as pool:
        with PostgresJournal(pool) as journal:
            thread = Thread(States(1), "thread")
            for _ in range(3):
                journal.put(*thread.next())
            assert len(list(journal.list(new_config("thread")))) == 3
        with pool.connection() as connection:
            assert connection.autocommit == autocommit
            assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
        with pytest.raises(JournalClosedError):
            journal.get_tuple(new_config("thread"))


def test_connections_that_are_lost_are_made_anew(address: str, journal: PostgresJournal) -> None:
    thread = Thread(States(1), "thread")
    journal.put(*thread.next())
    lose_connections(address)
    assert journal.get_tuple(new_config("thread")) is not None
    lose_connections(address)
    journal.put(*thread.next())
    assert len(list(journal.list(new_config("thread")))) == 2


def cut(journal: PostgresJournal, address: str, *, after: bool, times: int) -> list[str]:
    """Lose the connection so often before the server hears of a commit, or after it has done it."""
    storage: Any = journal._storage
    carry, lost = storage._carry, []

    def losing(connection: Any, steps: Any) -> Any:
        if steps.__name__ != "_commit" or len(lost) == times:
            return carry(connection, steps)
        lost.append("lost")
        if after:
            carry(connection, steps)
        lose_connections(address)
        return carry(connection, steps) if not after else connection.execute("SELECT 1")

    storage._carry = losing
    return lost


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_that_nobody_knows_of_is_sent_again(
    address: str, journal: PostgresJournal, after: bool
) -> None:
    """It is stored once, whether the server had carried it out or not."""
    thread = Thread(States(1), "thread")
    journal.put(*thread.next())
    lost = cut(journal, address, after=after, times=1)
    arguments = thread.next()
    journal.put(*arguments)
    assert lost == ["lost"]
    with PostgresJournal(address) as other:
        found = list(other.list(new_config("thread")))
    assert len(found) == 2
    assert found[0].checkpoint["id"] == arguments[1]["id"]


def test_a_server_that_stays_away_is_an_error_and_nothing_is_half_written(
    address: str, journal: PostgresJournal
) -> None:
    thread = Thread(States(1), "thread")
    journal.put(*thread.next())
    before = list(journal.list(new_config("thread")))
    cut(journal, address, after=False, times=100)
    with pytest.raises(psycopg.OperationalError):
        journal.put(*thread.next())
    with PostgresJournal(address) as other:
        assert list(other.list(new_config("thread"))) == before
        own = Thread(States(2), "thread")
        own.load(other.get_tuple(new_config("thread")))
        other.put(*own.next())


def test_a_database_that_is_not_there_is_named_at_once(address: str) -> None:
    """The server's own words, without waiting for the pool to give up."""
    nowhere = psycopg.conninfo.make_conninfo(address, dbname="nowhere")
    with (
        PostgresJournal(nowhere) as journal,
        pytest.raises(psycopg.OperationalError, match='"nowhere" does not exist'),
    ):
        journal.get_tuple(new_config("thread"))


def test_through_a_pooler_no_statement_is_prepared(address: str, monkeypatch: Any) -> None:
    """It shows a process of its own, by which it is known."""
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda info: 1))
    with psycopg_pool.ConnectionPool(
        address, min_size=1, max_size=1, kwargs={"prepare_threshold": None}, open=True
    ) as pool:
        journal = PostgresJournal(pool)
        thread = Thread(States(1), "thread")
        for _ in range(8):
            journal.put(*thread.next())
        with pool.connection() as connection:
            prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements")
            assert prepared.fetchone() == (0,)


def test_statements_that_a_pooler_has_lost_are_sent_unprepared(address: str) -> None:
    with psycopg_pool.ConnectionPool(address, min_size=1, max_size=1, open=True) as pool:
        journal = PostgresJournal(pool)
        thread = Thread(States(1), "thread")
        journal.put(*thread.next())
        with pool.connection() as connection:
            connection.execute("DEALLOCATE ALL")
        journal.put(*thread.next())
        assert len(list(journal.list(new_config("thread")))) == 2


def test_journals_of_one_pool_keep_their_statements_apart(address: str) -> None:
    """They share sessions, and the names of statements in them."""
    with psycopg_pool.ConnectionPool(address, min_size=1, max_size=1, open=True) as pool:
        journals = [PostgresJournal(pool, schema=name) for name in ("millstream", "other")]
        journals.append(PostgresJournal(pool))
        threads = [Thread(States(1), f"thread{number}") for number in range(3)]
        for _ in range(3):
            for journal, thread in zip(journals, threads, strict=True):
                journal.put(*thread.next())
        assert [journal._storage._prepares for journal in journals] == [True] * 3  # type: ignore[attr-defined]
        assert [len(list(journal.list(None))) for journal in journals] == [6, 3, 6]
    ask(address, "DROP SCHEMA other CASCADE")


@pytest.mark.parametrize("field", ["thread_id", "checkpoint_ns", "id"])
def test_a_text_that_the_server_cannot_have_is_refused_whole(
    journal: PostgresJournal, field: str
) -> None:
    """Nothing is stored under the part of it that the server could have."""
    config, checkpoint, metadata, versions = Thread(States(1), "thread").next()
    if field == "id":
        checkpoint["id"] += "\0more"
    else:
        config["configurable"][field] = "thread\0more"
    with pytest.raises(psycopg.DataError, match="NUL"):
        journal.put(config, checkpoint, metadata, versions)
    assert list(journal.list(None)) == []


def test_texts_are_read_as_they_were_stored_in_the_encoding_of_a_pool(address: str) -> None:
    with psycopg_pool.ConnectionPool(
        address, min_size=1, kwargs={"client_encoding": "latin1"}, open=True
    ) as pool:
        PostgresJournal(pool).put(*Thread(States(1), "fünf").next())
    with PostgresJournal(address) as journal:
        assert journal.get_tuple(new_config("fünf")) is not None


def test_writers_of_the_same_lines_in_other_orders_do_not_wait_for_each_other(
    address: str,
) -> None:
    """Two journals are two processes to the server; both store what the other does."""
    names = [f"thread{number}" for number in range(8)]

    def write(seed: int) -> None:
        with PostgresJournal(address, on_conflict="fork") as journal:
            for turn in range(10):
                order = names if (seed + turn) % 2 else names[::-1]
                calls = [("put", Thread(States(seed), name).next()) for name in order]
                journal.put_together(calls)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    with PostgresJournal(address) as journal:
        assert len(list(journal.list(None))) == 2 * 10 * len(names)


def test_async_methods_serve_many_at_once(address: str) -> None:
    async def main() -> int:
        async with PostgresJournal(address) as journal:

            async def run(number: int) -> None:
                thread = Thread(States(number), f"thread{number}")
                for _ in range(4):
                    await journal.aput(*thread.next())

            await asyncio.gather(*map(run, range(20)))
            return len([found async for found in journal.alist(None)])

    assert asyncio.run(main()) == 80


def test_without_psycopg_the_error_says_what_to_install(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"millstream\[postgres\]"):
        PostgresJournal("postgresql://localhost")


def test_no_text_is_taken_for_a_part_of_an_array(journal: PostgresJournal) -> None:
    texts = ['"', "\\", 'a\\"b', "{}", ",", "NULL", "", " ", "%s @", "é\U0001f30d"]
    for number, text in enumerate(texts):
        config, checkpoint, metadata, versions = Thread(States(1), f"thread {text}").next()
        checkpoint["id"] = f"{text}{number}"
        journal.put(config, checkpoint, {**metadata, f"name {text}": text}, versions)
        [found] = journal.list(None, filter={f"name {text}": text})
        assert found.checkpoint["id"] == checkpoint["id"]
        assert found.config["configurable"]["thread_id"] == f"thread {text}"


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_pool_of_an_event_loop_is_used_as_it_is(address: str, autocommit: bool) -> None:
    """Many at once, connections that are lost, and a word on what cannot be."""
    options = {"autocommit": autocommit, "row_factory": psycopg.rows.dict_row}

    async def main() -> None:
        async with psycopg_pool.AsyncConnectionPool(
            address, min_size=1, max_size=3, kwargs=options, open=False
        ) as pool:
            journal = PostgresJournal(pool)
            threads = [Thread(States(number), f"thread{number}") for number in range(20)]

            async def run(thread: Thread) -> None:
                for _ in range(4):
                    await journal.aput(*thread.next())
                found = [each async for each in journal.alist(new_config(thread.thread_id))]
                assert len(found) == 4

            await asyncio.gather(*map(run, threads))
            await asyncio.to_thread(lose_connections, address)
            await journal.aput(*threads[0].next())
            found = await journal.aget_tuple(new_config("thread0"))
            assert found is not None
            assert found.checkpoint["id"] == threads[0].parent
            with pytest.raises(TypeError, match="only async methods"):
                journal.get_tuple(new_config("thread0"))
            with pytest.raises(TypeError, match="only async methods"):
                journal.put(*threads[1].next())
            await journal.aclose()
            async with pool.connection() as connection:
                assert connection.autocommit == autocommit

    asyncio.run(main())


def test_who_is_cancelled_takes_nobody_along(address: str) -> None:
    """What others have put in the queue is stored, whoever was about to do it."""

    async def main() -> None:
        async with psycopg_pool.AsyncConnectionPool(address, min_size=1, open=False) as pool:
            journal = PostgresJournal(pool)
            await journal.aget_tuple(new_config("thread0"))
            for turn in range(10):
                threads = [Thread(States(n), f"thread{turn}-{n}") for n in range(6)]
                tasks = [asyncio.ensure_future(journal.aput(*thread.next())) for thread in threads]
                for _ in range(turn):
                    await asyncio.sleep(0)
                tasks[turn % 2].cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                for number, result in enumerate(results):
                    if number != turn % 2:
                        assert isinstance(result, dict)
                        assert await journal.aget_tuple(new_config(f"thread{turn}-{number}"))
            await journal.aclose()

    asyncio.run(main())


def test_what_goes_wrong_behind_the_rows_is_told_as_what_it_is() -> None:
    status = psycopg.pq.ExecStatus
    ok, fatal = status.TUPLES_OK, status.FATAL_ERROR
    rows = SimpleNamespace(status=ok, ntuples=1)
    refused = SimpleNamespace(
        status=fatal,
        ntuples=0,
        error_field=lambda _: b"40001",
        get_error_message=lambda encoding="": "could not serialize",
        error_message=b"could not serialize",
    )

    assert Direct()._count([rows], "utf-8") == 1
    with pytest.raises(psycopg.errors.SerializationFailure):
        Direct()._count([rows, refused], "utf-8")
