"""An async run whose event loop waits for PostgreSQL itself."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typing_extensions import TypedDict

from journal.test_postgres import lose_connections
from millstream.graph import START, StateGraph
from millstream.journal import PostgresJournal
from millstream.journal.rows import Commit

psycopg = pytest.importorskip("psycopg")

CONFIG: Any = {"configurable": {"thread_id": "thread"}, "recursion_limit": 100}
STEPS = 12


@pytest.fixture
def journal(postgres: str) -> Iterator[PostgresJournal]:
    """Give a journal that has nothing."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS millstream CASCADE")
    with PostgresJournal(postgres) as journal:
        yield journal


class Count(TypedDict):
    n: int


def chain(journal: PostgresJournal, at: int = -1, do: Callable[[], Any] | None = None) -> Any:
    """Return a graph that counts, and does something, or awaits it, at one of its nodes."""

    async def step(state: Count) -> dict[str, int]:
        if state["n"] % 100 == at and do is not None:
            done = do()
            if inspect.isawaitable(done):
                await done
        return {"n": state["n"] + 1}

    builder: Any = StateGraph(Count)
    builder.add_sequence([(f"step {n}", step) for n in range(STEPS)]).add_edge(START, "step 0")
    return builder.compile(checkpointer=journal)


async def stored(graph: Any) -> list[int]:
    """Return what a thread has counted, the oldest first, without the input."""
    states = [state async for state in graph.aget_state_history(CONFIG)]
    return [state.values["n"] for state in reversed(states) if state.values]


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_what_an_async_run_stores_takes_no_thread(
    journal: PostgresJournal, durability: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once there is a connection: whatever opens one may block."""
    storage: Any = journal._storage
    threads: set[str] = set()
    here, in_thread = [0], [0]
    carry_out, await_commit = storage.carry_out, storage.await_commit

    def carried_out(request: Any, **options: Any) -> Any:
        if isinstance(request, Commit):
            in_thread[0] += 1
            threads.add(threading.current_thread().name)
        return carry_out(request, **options)

    async def awaited(request: Any) -> Any:
        here[0] += 1
        return await await_commit(request)

    monkeypatch.setattr(storage, "carry_out", carried_out)
    monkeypatch.setattr(storage, "await_commit", awaited)

    async def run() -> list[int]:
        graph = chain(journal)
        await graph.ainvoke({"n": 0}, CONFIG, durability=durability)
        return await stored(graph)

    assert asyncio.run(run()) == [0, *range(1, STEPS + 1)]
    assert in_thread[0] <= 2
    assert here[0] >= (STEPS if durability == "sync" else 2)


def test_a_run_that_is_cancelled_while_the_server_stores_leaves_no_gap(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the statement was carried out; it is asked for again."""
    storage: Any = journal._storage
    await_commit = storage.await_commit
    left = [5, 5]

    async def awaited(request: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        return await await_commit(request)

    monkeypatch.setattr(storage, "await_commit", awaited)

    async def run() -> list[int]:
        graph = chain(journal)
        with pytest.raises(asyncio.CancelledError):
            await graph.ainvoke({"n": 0}, CONFIG, durability="sync")
        before = await stored(graph)
        assert before == list(range(len(before)))
        assert len(before) >= left[1]
        await graph.ainvoke(None, CONFIG, durability="sync")
        return await stored(graph)

    assert asyncio.run(run()) == [0, *range(1, STEPS + 1)]
    assert left[0] < 0


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_who_reads_a_thread_while_it_is_stored_does_not_stop_its_run(
    journal: PostgresJournal, durability: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is of the time before, and the run goes on from what it has stored."""
    storage: Any = journal._storage
    await_commit = storage.await_commit
    graph = chain(journal)
    read = [0]

    async def awaited(request: Any) -> Any:
        await graph.aget_state(CONFIG)
        read[0] += 1
        return await await_commit(request)

    monkeypatch.setattr(storage, "await_commit", awaited)

    async def run() -> list[int]:
        await graph.ainvoke({"n": 0}, CONFIG, durability=durability)
        return await stored(graph)

    assert asyncio.run(run()) == [0, *range(1, STEPS + 1)]
    assert read[0] >= (STEPS if durability == "sync" else 2)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_connection_that_is_lost_costs_a_run_nothing(
    postgres: str, journal: PostgresJournal, durability: Any
) -> None:
    async def run() -> list[int]:
        graph = chain(journal, 6, lambda: lose_connections(postgres))
        await graph.ainvoke({"n": 0}, CONFIG, durability=durability)
        return await stored(graph)

    assert asyncio.run(run()) == [0, *range(1, STEPS + 1)]


def test_two_runs_of_one_loop_on_one_thread_do_not_both_go_on(journal: PostgresJournal) -> None:
    """The second is refused, as anywhere else, and what the first has stored is whole."""

    async def run() -> tuple[list[str], list[int]]:
        begun, are_both = [0], asyncio.Event()

        async def meet() -> None:
            """Wait at the first node until the other run is there too, or refused."""
            begun[0] += 1
            if begun[0] == 3:  # the first is that of the run before
                are_both.set()
            if begun[0] == 2:
                await are_both.wait()

        graph = chain(journal, 0, meet)
        await graph.ainvoke({"n": 0}, CONFIG, durability="sync")

        async def one(number: int) -> Any:
            try:
                return await graph.ainvoke({"n": number}, CONFIG, durability="sync")
            finally:
                are_both.set()

        ended = await asyncio.gather(one(100), one(200), return_exceptions=True)
        return [type(each).__name__ for each in ended], await stored(graph)

    ended, counted = asyncio.run(run())

    assert sorted(ended) == ["ThreadBusyError", "dict"]
    begin = counted[-1] - STEPS
    assert begin in (100, 200)
    assert counted[-STEPS - 1 :] == list(range(begin, begin + STEPS + 1))
