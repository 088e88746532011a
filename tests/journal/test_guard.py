"""Who has been replaced stores nothing more, whatever it was about to store, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Annotated, Any, Final

import pytest
from langchain_core.runnables import RunnableLambda
from typing_extensions import TypedDict

import waiting
from journal.journals import DRIVERS, SyncCalls, new_config
from journal.test_postgres import ask, lose_connections
from journal.test_postgres_failures import (
    Calls,
    of_two_lines,
    put,
    stored_again,
    superstep,
    texts,
)
from millstream.channels import UntrackedValue
from millstream.core.checkpoints import UNKNOWN
from millstream.errors import FencedError
from millstream.graph import START, StateGraph
from millstream.journal import Guard, PostgresJournal
from millstream.journal.lanes import _Job, _work
from millstream.journal.writing import store

psycopg = pytest.importorskip("psycopg")
psycopg_pool = pytest.importorskip("psycopg_pool")

ATTEMPT: Final[ContextVar[int | None]] = ContextVar("attempt", default=None)
"""Which attempt of the run it is that stores; None where it is no run."""
GUARD: Final = Guard(
    "millstream.leases",
    "run = %s::text AND attempt = %s::integer",
    lambda: None if ATTEMPT.get() is None else ("run 100%", ATTEMPT.get()),
)
TAKE_OVER: Final = "UPDATE millstream.leases SET attempt = attempt + 1"


WATCH: Final[list[Any]] = []
"""A connection of the test that is running."""


def look(query: str) -> list[Any]:
    """Return what the server says at once."""
    found: list[Any] = WATCH[0].execute(query).fetchall()
    return found


@pytest.fixture
def leased(postgres: str) -> Iterator[str]:
    """Give a database that has a run, in its first attempt, and no journal."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
        connection.execute("CREATE SCHEMA millstream")
        connection.execute("CREATE TABLE millstream.leases (run text PRIMARY KEY, attempt integer)")
        connection.execute("INSERT INTO millstream.leases VALUES ('run 100%', 1)")
        WATCH[:] = [connection]
        yield postgres
        WATCH.clear()


def all_rows() -> list[Any]:
    """Return all that the tables have, but for the numbers that were given out."""
    names = ("lines", "checkpoints", "writes", "parts", "labels", "shares")
    return [sorted(look(f"SELECT * FROM millstream.journal_{name}"), key=repr) for name in names]


@pytest.fixture(params=DRIVERS)
def calls(request: pytest.FixtureRequest, leased: str) -> Iterator[SyncCalls]:
    """Give such a database under each driver."""
    with DRIVERS[request.param]("postgres", leased) as calls:
        yield calls


@contextmanager
def attempt(number: int | None) -> Iterator[None]:
    """Be an attempt of the run."""
    token = ATTEMPT.set(number)
    try:
        yield
    finally:
        ATTEMPT.reset(token)


def begun(calls: SyncCalls) -> PostgresJournal:
    """Return a journal with a thread of two checkpoints."""
    journal: PostgresJournal = calls.open(guard=GUARD)
    for call in (put(1, texts(1)), put(2, texts(2), parent=1)):
        calls.call(journal.put_together, [call])
    return journal


def of_a_new_thread() -> Calls:
    """Return the first checkpoint of a namespace."""
    return [put(1, texts(1), "new")]


def of_a_task() -> Calls:
    """Return what a task wrote."""
    return [("put_writes", (new_config("thread", f"{2:08}"), [("x", texts(9))], "task", "~1"))]


STEPS: Final = {
    "superstep": superstep,
    "two lines": of_two_lines,
    "again": stored_again,
    "new": of_a_new_thread,
    "task": of_a_task,
}
LONG: Final = pytest.mark.long
steps = pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)
# The kinds of statements; what is stored in them makes no difference to when.
moments = pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=() if name in ("superstep", "again") else LONG)
        for name, make in STEPS.items()
    ],
)


def are_waiting() -> int:
    """Return how many wait for a lock that another one has."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    count: int = look(f"{query} AND datname = current_database()")[0][0]
    return count


@steps
def test_who_has_been_replaced_stores_nothing(calls: SyncCalls, make: Callable[[], Calls]) -> None:
    """The next owner does, and who is no run may as well."""
    journal = begun(calls)
    before = all_rows()
    ask(calls.address, TAKE_OVER)
    with attempt(1), pytest.raises(FencedError, match="taken over") as raised:
        calls.call(journal.put_together, make())
    assert raised.value.thread_id == "thread"
    assert all_rows() == before

    with attempt(2):
        calls.call(journal.put_together, make())
    after = all_rows()
    assert after != before
    with attempt(1), pytest.raises(FencedError):
        calls.call(journal.put_together, make())
    assert all_rows() == after
    with attempt(None):
        calls.call(journal.put_together, [put(9, texts(9), "any")])


@moments
def test_a_pool_of_an_event_loop_is_guarded_too(leased: str, make: Callable[[], Calls]) -> None:
    async def main() -> None:
        async with psycopg_pool.AsyncConnectionPool(leased, min_size=1, open=False) as pool:
            journal = PostgresJournal(pool, guard=GUARD)
            for call in (put(1, texts(1)), put(2, texts(2), parent=1)):
                await journal.aput_together([call])
            before = all_rows()
            with attempt(2), pytest.raises(FencedError):
                await journal.aput_together(make())
            assert all_rows() == before
            with attempt(1):
                await journal.aput_together(make())
            assert all_rows() != before

    asyncio.run(main())


@moments
def test_a_step_that_began_before_is_there_when_the_next_owner_reads(
    calls: SyncCalls, make: Callable[[], Calls]
) -> None:
    """Whoever takes over waits for it."""
    journal = begun(calls)
    before = all_rows()
    with ThreadPoolExecutor(2) as pool, psycopg.connect(calls.address) as holder:
        # What is about to be stored gets as far as its lines.
        holder.execute("SELECT 1 FROM millstream.journal_lines FOR UPDATE")
        holder.execute("INSERT INTO millstream.journal_lines VALUES (10000, 'thread', 'new', 0, 0)")
        with attempt(1):
            storing = pool.submit(copy_context().run, calls.call, journal.put_together, make())
        assert waiting.until(lambda: are_waiting() == 1)
        taking = pool.submit(ask, calls.address, TAKE_OVER)
        assert waiting.until(lambda: are_waiting() == 2)
        assert not taking.done()
        holder.rollback()
        taking.result()
        there = all_rows()
        storing.result()
    assert there != before
    assert all_rows() == there


@pytest.mark.parametrize("is_taken", [True, pytest.param(False, marks=LONG)])
@moments
def test_a_step_that_begins_while_somebody_takes_over_waits_for_the_outcome(
    calls: SyncCalls, make: Callable[[], Calls], is_taken: bool
) -> None:
    journal = begun(calls)
    before = all_rows()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(calls.address) as taker:
        taker.execute(TAKE_OVER)
        with attempt(1):
            storing = pool.submit(copy_context().run, calls.call, journal.put_together, make())
        assert waiting.until(lambda: are_waiting() == 1)
        (taker.commit if is_taken else taker.rollback)()
        if is_taken:
            with pytest.raises(FencedError):
                storing.result()
        else:
            storing.result()
    assert (all_rows() == before) == is_taken


class Count(TypedDict):
    n: int


class Watched(TypedDict):
    n: int
    watcher: Annotated[Any, UntrackedValue]


LENGTH: Final = 8


def chain(journal: PostgresJournal, kind: Any, do: Callable[[], Any]) -> Any:
    """Return a graph that counts, and does something in the middle."""

    def step(state: Any) -> dict[str, int]:
        if state["n"] == LENGTH // 2:
            do()
        return {"n": state["n"] + 1}

    async def astep(state: Any) -> dict[str, int]:
        if state["n"] == LENGTH // 2:
            await asyncio.to_thread(do)
        return {"n": state["n"] + 1}

    both: Any = RunnableLambda(step, astep)
    builder: Any = StateGraph(kind)
    builder.add_sequence([(f"step {n}", both) for n in range(LENGTH)]).add_edge(START, "step 0")
    return builder.compile(checkpointer=journal)


@pytest.mark.parametrize(
    ("kind", "has_gone_on"),
    [
        pytest.param(Count, False, id="followed"),
        pytest.param(Watched, True, id="untracked-gone on"),
        pytest.param(Watched, False, id="untracked", marks=LONG),
        pytest.param(Count, True, id="followed-gone on", marks=LONG),
    ],
)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_run_that_was_taken_over_ends_and_nothing_of_it_is_stored_after_that(
    leased: str, driver: Any, durability: Any, kind: Any, has_gone_on: bool
) -> None:
    """Also when the next owner has stored something already: then it is no busy thread."""
    config = new_config("thread")
    at_takeover: list[Any] = []

    def take_over() -> None:
        ask(leased, TAKE_OVER)
        if has_gone_on:
            with attempt(2), PostgresJournal(leased, guard=GUARD) as other:
                other_graph = chain(other, kind, lambda: None)
                other_graph.update_state(config, {"n": 100}, as_node="step 0")
        at_takeover.append(all_rows())

    with PostgresJournal(leased, guard=GUARD) as journal:
        graph = chain(journal, kind, take_over)
        with attempt(1), pytest.raises(FencedError):
            driver.invoke(graph, {"n": 0}, config, durability=durability)
    assert all_rows() == at_takeover[0]


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_run_whose_step_waits_for_who_takes_over_is_refused(
    leased: str, driver: Any, durability: Any
) -> None:
    """An async run, too, whose event loop waits for the server itself."""
    with ThreadPoolExecutor(1) as pool, psycopg.connect(leased) as taker:

        def take_over() -> None:
            taker.execute(TAKE_OVER)
            pool.submit(commit_when_somebody_waits)

        def commit_when_somebody_waits() -> None:
            assert waiting.until(lambda: are_waiting() == 1)
            taker.commit()

        with PostgresJournal(leased, guard=GUARD) as journal, attempt(1):
            graph = chain(journal, Count, take_over)
            with pytest.raises(FencedError):
                driver.invoke(graph, {"n": 0}, new_config("thread"), durability=durability)
            found = journal.get_tuple(new_config("thread"))
    assert found is not None
    assert found.checkpoint["channel_values"]["n"] <= LENGTH // 2


def test_a_superstep_takes_as_many_round_trips_with_a_guard_as_without(
    leased: str, driver: Any
) -> None:
    trips: list[bool] = []
    counts: list[tuple[int, int]] = []
    for guard in (GUARD, None):
        with PostgresJournal(leased, guard=guard) as journal, attempt(1):
            storage: Any = journal._storage
            counting = storage._counting

            def counted(*sent: Any, counting: Any = counting) -> Any:
                made = counting(*sent)
                trips.append(made is not None)
                return made

            storage._counting = counted
            graph, config = chain(journal, Count, lambda: None), new_config(f"{guard}")
            driver.invoke(graph, {"n": 0}, config, durability="sync")
            # From then on there are tables, and there is a line.
            trips.clear()
            driver.invoke(graph, {"n": 0}, config, durability="sync")
            counts.append((trips.count(True), trips.count(False)))
    assert counts[0] == counts[1]
    assert counts[0][0] >= LENGTH
    assert counts[0][1] <= 1  # the state is read


def test_who_shares_a_transaction_with_one_that_was_replaced_is_stored(calls: SyncCalls) -> None:
    journal = begun(calls)
    ask(calls.address, TAKE_OVER)

    def job(name: str, number: int) -> Any:
        checkpoint = put(1, texts(1))
        checkpoint[1][0]["configurable"]["thread_id"] = name
        with attempt(number):
            handover = journal._handover([checkpoint], UNKNOWN)
        return _Job(lambda: store(journal._memory, handover))

    jobs = [job("a", 2), job("b", 1), job("c", 2)]
    steps, answer, together = _work(jobs), None, 0
    with suppress(StopIteration):
        while True:
            request = steps.send(answer)
            together = max(together, len(getattr(request, "batches", ())))
            answer = journal._storage.carry_out(request)
    assert together == 3
    assert [type(each.error) for each in jobs] == [type(None), FencedError, type(None)]
    threads = {each.config["configurable"]["thread_id"] for each in calls.list(journal, None)}
    assert threads == {"thread", "a", "c"}


def test_who_is_replaced_while_it_does_not_know_whether_it_has_stored_is_told(
    calls: SyncCalls,
) -> None:
    """Its connection was lost behind the commit; it is stored once, and the run is another's."""
    journal = begun(calls)
    storage: Any = journal._storage
    carry, lost = storage._carry, []

    def losing(connection: Any, steps: Any) -> Any:
        if steps.__name__ != "_commit" or lost:
            return carry(connection, steps)
        carry(connection, steps)
        lost.append("lost")
        ask(calls.address, TAKE_OVER)
        lose_connections(calls.address)
        return connection.execute("SELECT 1")

    storage._carry = losing
    with attempt(1), pytest.raises(FencedError):
        calls.call(journal.put_together, superstep())
    assert lost == ["lost"]
    assert len(calls.list(journal, new_config("thread"))) == 3


@pytest.mark.parametrize(("table", "condition"), [("runs", ""), ("", "a = 1"), ("runs", "a @> b")])
def test_what_cannot_be_a_guard_is_refused(table: str, condition: str) -> None:
    with pytest.raises(ValueError, match="of a guard"):
        Guard(table, condition, tuple)
