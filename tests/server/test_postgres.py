"""The server on PostgreSQL: what is its own there, and some of what is the same."""

from __future__ import annotations

import asyncio
import operator
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

import psycopg
import pytest
from langchain_core.runnables import RunnableConfig
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError

import waiting
from millstream.graph import START, StateGraph
from millstream.server.config import ServerConfig
from millstream.server.errors import ApiError, ConfigError
from millstream.server.service import Service
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import Address
from millstream.server.storage.tables import threads
from millstream.server.storage.threads import create
from server.databases import empty_postgres
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.streams import parse

# The same tests, on the server of this module.
from server.test_assistants import *  # noqa: F403
from server.test_runs import (  # noqa: F401
    test_a_long_stream_is_read_again_from_anywhere,
    test_a_second_run_is_rejected_on_a_busy_thread,
    test_a_second_run_takes_the_place_of_the_first,
    test_a_second_run_waits_for_the_first,
    test_an_idempotency_key_makes_one_run,
    test_runs_are_cancelled_together,
    test_stateless_runs_leave_no_thread,
    test_trap_05_a_stream_is_resumed_where_it_was,
    test_trap_19_questions_are_asked_and_answered,
)
from server.test_threads import *  # noqa: F403
from server.ways import Way

pytestmark = pytest.mark.real_time(reason="the graphs of the tests that are here too take time")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server on PostgreSQL."""
    with empty_postgres() as address:
        directory = tmp_path_factory.mktemp("server")
        with running(config_of(make_graphs(), directory, database=address)) as server:
            assert isinstance(server.service.db, PostgresDatabase)
            yield server
        assert not list(directory.iterdir()), "everything is in the database"


@pytest.fixture
def database(new_database: str) -> Iterator[PostgresDatabase]:
    """Give a database of its own."""
    made = PostgresDatabase(Address(new_database))
    yield made
    made.close()


def insert(connection: Connection, thread_id: str) -> str:
    """Make a thread."""
    create(connection, thread_id, metadata={})
    return thread_id


def ids(connection: Connection) -> list[str]:
    """Return the ids of all threads."""
    return sorted(connection.scalars(select(threads.c.thread_id)))


def kill(connection: Connection) -> None:
    """Have the server end a connection."""
    driver: Any = connection.connection.driver_connection
    other = Address(driver.info.dsn + f" password={driver.info.password}").connect()
    other.execute("SELECT pg_terminate_backend(%s)", [driver.info.backend_pid])
    other.close()


def test_what_is_lost_before_its_commit_is_done_again(database: PostgresDatabase) -> None:
    calls: list[int] = []

    def write(connection: Connection) -> str:
        calls.append(1)
        insert(connection, "a")
        if len(calls) == 1:
            kill(connection)
            insert(connection, "b")
        return "done"

    assert asyncio.run(database.write(write)) == "done"
    assert len(calls) == 2
    assert asyncio.run(database.read(ids)) == ["a"]


def test_what_is_lost_after_its_commit_is_not_done_again(database: PostgresDatabase) -> None:
    calls: list[int] = []

    def commit_unheard(connection: Connection) -> None:
        if len(calls) == 1:
            driver: Any = connection.connection.driver_connection
            driver.commit()
            driver.close()

    event.listen(database.engine, "commit", commit_unheard)

    def write(connection: Connection) -> int:
        calls.append(1)
        return connection.execute(
            text("INSERT INTO threads SELECT 'x' || count(*), 'idle', '', '', '', NULL, NULL, NULL,"
                 " false, '{}', '{}' FROM threads")
        ).rowcount  # fmt: skip

    assert asyncio.run(database.write(write)) == 1
    assert len(calls) == 1
    assert asyncio.run(database.read(ids)) == ["x0"]


def test_connections_that_the_server_has_ended_are_nobodys_fault(
    database: PostgresDatabase,
) -> None:
    async def read_together() -> None:
        await asyncio.gather(*[database.read(ids) for _ in range(8)])

    asyncio.run(read_together())
    address = Address(f"{database_url(database)}")
    with address.connect() as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )

    asyncio.run(read_together())
    assert asyncio.run(database.write(insert, "a")) == "a"


def database_url(database: PostgresDatabase) -> str:
    """Return the address of a database, with its password."""
    with database.engine.connect() as connection:
        info: Any = connection.connection.driver_connection
        return f"{info.info.dsn} password={info.info.password}"


def test_who_was_overtaken_looks_again(database: PostgresDatabase) -> None:
    looked: list[int] = []

    def late(connection: Connection) -> Any:
        looked.append(len(ids(connection)))
        if len(looked) == 1:
            # Another one makes it, after this one has seen that it is not there.
            database.write_soon(insert, "a").result(timeout=10)
            connection.execute(
                text("INSERT INTO threads SELECT * FROM threads WHERE thread_id = 'a'")
            )
        return create(connection, "a", metadata={})

    with pytest.raises(ApiError, match="already exists"):
        asyncio.run(database.write(late))
    assert looked == [0, 1]


def test_servers_that_start_together_make_the_tables_once(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: PostgresDatabase(Address(empty_database)), range(4)))
    for each in made:
        assert asyncio.run(each.read(ids)) == []
        each.close()


def opened(address: str, directory: Path) -> None:
    async def main() -> None:
        async with Service.open(config_of({}, directory, database=address)):
            pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda known: known.replace("@", "x@", 1), "password authentication failed"),
        (lambda known: known + "_gone", "does not exist"),
        # What is special in a password is not in its place.
        (lambda known: known.replace("@", "/@"), "is no address of PostgreSQL"),
        (lambda known: known.replace(":", ":x@", 2).replace(":x@", ":", 1), "is no address"),
        (lambda known: known.replace("@", "%@"), "is no address of PostgreSQL"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_password(
    change: Callable[[str], str], told: str, new_database: str, tmp_path: Path
) -> None:
    address = change(new_database)
    secret = new_database.split("@")[0].rpartition(":")[2]

    with pytest.raises(ConfigError, match=told) as caught:
        opened(address, tmp_path)

    error: BaseException | None = caught.value
    while error is not None:
        assert secret not in str(error)
        error = None if error.__suppress_context__ else error.__context__
    assert secret not in repr(ServerConfig(database=address))
    assert secret not in repr(Address(new_database))


def test_many_who_ask_at_once_have_one_run_at_a_time(server: Running) -> None:
    at = server.http.post("/threads", json={}).json()["thread_id"]
    run = {"assistant_id": "chat", "input": {"messages": [{"role": "user", "content": "hi"}]}}
    begun = threading.Barrier(6)

    def ask(_: int) -> int:
        begun.wait()
        answer = server.http.post(f"/threads/{at}/runs/wait", json=run)
        return answer.status_code

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [200] * 6
    state = server.http.get(f"/threads/{at}/state").json()
    # Each has found what those before it have left.
    assert len([m for m in state["values"]["messages"] if m["type"] == "human"]) == 6
    found = server.http.get(f"/threads/{at}/runs").json()
    assert [run["status"] for run in found] == ["success"] * 6


class Counted(TypedDict, total=False):
    """The state of a graph that counts to a number."""

    upto: int
    seen: Annotated[list[int], operator.add]


def counting(done: list[tuple[str, int]]) -> Any:
    """Return a graph that counts, and notes which steps it has taken."""

    async def step(state: Counted, config: RunnableConfig) -> Counted:
        count = len(state.get("seen", ()))
        done.append((config["configurable"]["thread_id"], count))
        await asyncio.sleep(0.01)
        return {"seen": [count]}

    builder = StateGraph(Counted).add_node("step", step).add_edge(START, "step")
    builder.add_conditional_edges(
        "step", lambda state: "step" if len(state["seen"]) < state["upto"] else "__end__"
    )
    return builder.compile()


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("durability", ["sync", "async"])
def test_runs_and_requests_wait_for_a_database_that_comes_and_goes(
    durability: str, new_database: str, tmp_path: Path
) -> None:
    done: list[tuple[str, int]] = []
    way = Way(new_database)
    is_over = threading.Event()
    rng = random.Random(7)

    def disturb() -> None:
        # One is cut all the time, now and then all of them, and then none for a while: to begin
        # anew takes longer than to cut.
        while not is_over.wait(rng.uniform(0.1, 0.3)):
            way.cut(1)
            if rng.random() < 0.1:
                way.is_shut = True
                way.cut()
                is_over.wait(rng.uniform(0, 1))
                way.is_shut = False
                is_over.wait(1)

    def ask(count: int) -> None:
        at = server.http.post("/threads", json={}).json()["thread_id"]
        for turn in (1, 2):
            body = {
                "assistant_id": "counting",
                "input": {"upto": turn * count},
                "stream_mode": ["updates", "values"],
                "stream_resumable": turn == 1,
                "durability": durability,
            }
            answer = server.http.post(f"/threads/{at}/runs/stream", json=body)
            events = parse(answer.text)
            said = [event.data["step"]["seen"] for event in events if event.name == "updates"]
            assert said == [[n] for n in range((turn - 1) * count, turn * count)], events[-1]
            if turn == 1:
                places = [int(str(event.id).rpartition("-")[2]) for event in events]
                assert places == list(range(1, len(events) + 1))
        state = server.http.get(f"/threads/{at}/state").json()
        assert state["values"]["seen"] == list(range(2 * count))
        assert [n for where, n in done if where == at] == list(range(2 * count))

    config = config_of({"counting": counting(done)}, tmp_path, database=way.address)
    try:
        with running(config) as server:
            disturbing = threading.Thread(target=disturb)
            disturbing.start()
            try:
                with ThreadPoolExecutor(8) as pool:
                    list(pool.map(ask, [5, 10, 15, 20] * 2))
            finally:
                is_over.set()
                disturbing.join()
    finally:
        way.close()
    assert way.cuts > 10


@pytest.mark.parametrize("is_resumable", [True, False])
def test_a_server_that_was_taken_for_dead_gives_its_runs_up_and_begins_anew(
    is_resumable: bool, new_database: str, tmp_path: Path
) -> None:
    stored = "SELECT (SELECT count(*) FROM run_events), (SELECT count(*) FROM journal_checkpoints)"
    done: list[tuple[str, int]] = []
    way = Way(new_database)
    config = config_of({"counting": counting(done)}, tmp_path, database=way.address)
    body = {
        "assistant_id": "counting",
        "input": {"upto": 1_000_000},
        "config": {"recursion_limit": 2_000_000},
        "stream_mode": ["updates"],
        "stream_resumable": is_resumable,
    }
    try:
        with running(config) as server:
            at = server.http.post("/threads", json={}).json()["thread_id"]
            run_id = server.http.post(f"/threads/{at}/runs", json=body).json()["run_id"]
            assert waiting.until(lambda: len(done) > 5)
            with Address(new_database).connect() as other:
                # It is asleep, as it were, while another one takes its place and its run.
                way.is_shut = True
                way.cut()
                other.execute("SET search_path = millstream")
                other.execute("DELETE FROM replicas")
                other.execute("UPDATE runs SET attempt = attempt + 1, holder = 'other'")
                before = other.execute(stored).fetchone()
                way.is_shut = False
                assert waiting.until(lambda: not server.service.scheduler.active)
                query = "SELECT attempt, status FROM runs WHERE run_id = %s"
                assert other.execute(query, [run_id]).fetchall() == [(2, "running")]
                # Nothing of it shows, and it begins another one under a new name.
                assert other.execute(stored).fetchone() == before
                names = "SELECT replica_id FROM replicas"
                assert waiting.until(lambda: other.execute(names).fetchall())
                short = {**body, "input": {"upto": 3}}
                assert server.http.post("/runs/wait", json=short).status_code == 200
    finally:
        way.close()


def test_errors_of_the_database_are_told_from_those_of_what_it_is_given(
    database: PostgresDatabase,
) -> None:
    def failing(connection: Connection, statement: str) -> None:
        connection.exec_driver_sql(statement)

    codes = {"40001": True, "53100": True, "57P03": True, "54000": False, "22003": False}
    for code, passes in codes.items():
        statement = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"
        with pytest.raises(DBAPIError) as caught:
            # Reading, nothing is waited for that the server has said.
            asyncio.run(database.read(failing, statement.replace("57P03", "57000")))
        assert database.may_pass(caught.value) is passes
    assert not database.may_pass(ValueError())


def test_a_server_that_does_not_answer_is_waited_for(database: PostgresDatabase) -> None:
    tries = 0

    def asked(connection: Connection) -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            # What psycopg raises when it has waited for long enough is of a class of its own.
            late = psycopg.errors.ConnectionTimeout("connection timeout expired")
            raise DBAPIError("SELECT 1", None, late)
        return "answered"

    assert asyncio.run(database.read(asked)) == "answered"
    assert asyncio.run(database.write(asked)) == "answered"
    late = psycopg.errors.ConnectionTimeout("connection timeout expired")
    assert database.may_pass(DBAPIError("SELECT 1", None, late))
