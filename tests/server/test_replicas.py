"""Several servers on one PostgreSQL: they share the runs, and take over what one leaves."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from sqlalchemy import Connection, select

import waiting
from millstream.errors import FencedError
from millstream.graph import START, StateGraph
from millstream.server import state
from millstream.server.storage import queue
from millstream.server.storage.tables import replicas, runs
from millstream.server.storage.times import now
from server.fixtures import Running, config_of, running
from server.streams import parse, start, thread
from server.test_recovery import COUNT, Gate, Steps, data, ended
from server.ways import Way

pytestmark = [
    pytest.mark.real_time(reason="leases end by the clock of the database"),
    pytest.mark.usefixtures("impatient"),
]


@contextmanager
def serving(
    address: str, directory: Path, gate: Gate | None = None, **options: Any
) -> Iterator[Running]:
    """Serve the steps of a gate, one that is open if there is none.

    Who is cut off is missed without a lease that ends, and a busy machine should end none.
    """
    gate = gate or Gate(-1)
    directory.mkdir(exist_ok=True)
    options = {"lease_seconds": 30, **options}
    with running(config_of(gate.graphs(), directory, database=address, **options)) as server:
        yield server


def own(server: Running) -> str:
    """Return the name in which a server holds what it holds."""
    return str(server.service.scheduler._membership.id)


def known(server: Running) -> set[str]:
    """Return the replicas that are known."""

    def read(connection: Connection) -> set[str]:
        return set(connection.scalars(select(replicas.c.replica_id)))

    found: set[str] = asyncio.run(server.service.db.read(read))
    return found


def held(server: Running, run_id: str) -> tuple[str | None, int]:
    """Return who has a run, and which attempt at it that is."""

    def read(connection: Connection) -> tuple[str | None, int]:
        query = select(runs.c.holder, runs.c.attempt).where(runs.c.run_id == run_id)
        holder, attempt = connection.execute(query).one()
        return holder, attempt

    found: tuple[str | None, int] = asyncio.run(server.service.db.read(read))
    return found


def status(server: Running, at: str, run_id: str) -> str:
    """Return how a run stands."""
    return str(server.http.get(f"/threads/{at}/runs/{run_id}").json()["status"])


def seen(server: Running, at: str) -> Any:
    """Return what is in the state of a thread."""
    return server.http.get(f"/threads/{at}/state").json()["values"]["seen"]


def test_a_server_without_slots_leaves_its_runs_to_others(
    new_database: str, tmp_path: Path
) -> None:
    with serving(new_database, tmp_path / "a", role="api") as api:
        at = thread(api)
        run_id = start(api, at, "steps", {})["run_id"]
        assert status(api, at, run_id) == "pending"
        with serving(new_database, tmp_path / "b") as worker:
            # One was there before it, the other is rung for.
            assert waiting.until(lambda: status(api, at, run_id) == "success")
            assert held(api, run_id) == (own(worker), 1)
            other = start(api, at, "steps", {"seen": []})["run_id"]
            assert waiting.until(lambda: status(api, at, other) == "success")


def test_servers_begin_each_run_once(new_database: str, tmp_path: Path) -> None:
    gate = Gate(0)
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(serving(new_database, tmp_path / name, gate, n_jobs_per_worker=2))
            for name in "ab"
        )
        threads = [thread(first) for _ in range(12)]
        made = {at: start(first, at, "steps", {})["run_id"] for at in threads}
        busy = (first.service.scheduler, second.service.scheduler)
        assert waiting.until(lambda: [each.active for each in busy] == [2, 2])
        gate.is_open = True
        for at, run_id in made.items():
            assert waiting.until(
                lambda at=at, run_id=run_id: status(first, at, run_id) == "success"
            )
            assert held(first, run_id)[1] == 1
            assert seen(second, at) == list(range(COUNT))
        holders = {held(first, run_id)[0] for run_id in made.values()}
        assert holders == {own(first), own(second)}


def test_another_attempt_in_the_same_process_waits_for_the_one_before(
    new_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is taken out of the queue by a process that stood still while its run was taken over."""
    gate = Gate(3)
    with serving(new_database, tmp_path / "a", gate) as server:
        scheduler, db = server.service.scheduler, server.service.db
        at = thread(server)
        more: dict[str, Any] = {"stream_mode": ["updates"], "stream_resumable": True}
        more["durability"] = "sync"
        run_id = start(server, at, "steps", {}, **more)["run_id"]
        assert waiting.until(lambda: gate.is_reached)

        def begin_again(connection: Connection) -> Any:
            queue.hand_back(connection, run_id)
            return queue.begin(connection, run_id, now(connection), scheduler._membership.holder)

        job = asyncio.run_coroutine_threadsafe(db.write(begin_again), server.loop).result(30)
        server.loop.call_soon_threadsafe(scheduler._launch, job)
        assert waiting.until(lambda: run_id in scheduler._next)
        gate.is_open = True
        assert ended(server, at, run_id) == "success"
        path = f"/threads/{at}/runs/{run_id}/stream?last_event_id=-1"
        events = parse(server.http.get(path).text)
        assert held(server, run_id)[1] == 2
    assert [each["step"]["seen"][0] for each in data(events, "updates")] == list(range(COUNT))
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


def test_a_run_of_a_server_that_ends_is_gone_on_with_at_once(
    new_database: str, tmp_path: Path
) -> None:
    gate = Gate(3)
    with ExitStack() as stack:
        with serving(new_database, tmp_path / "a", gate) as first:
            at = thread(first)
            run_id = start(first, at, "steps", {})["run_id"]
            assert waiting.until(lambda: gate.is_reached)
            second = stack.enter_context(serving(new_database, tmp_path / "b"))
            assert len(known(second)) == 2
            assert status(second, at, run_id) == "running"
            gate.is_open = True
            first.service.scheduler.give_up()
            first.service.scheduler.drain()
        assert waiting.until(lambda: status(second, at, run_id) == "success")
        assert seen(second, at) == list(range(COUNT))
        assert known(second) == {own(second)}


@pytest.mark.parametrize("is_long", [False, True])
def test_a_run_of_a_server_that_is_cut_off_is_taken_over(
    new_database: str, tmp_path: Path, *, is_long: bool
) -> None:
    gate = Gate(3)
    way = Way(new_database)
    with ExitStack() as stack:
        stack.callback(way.close)
        lease = 3 if is_long else 30
        cut_off = stack.enter_context(
            serving(way.address, tmp_path / "a", gate, lease_seconds=lease)
        )
        former = own(cut_off)
        at = thread(cut_off)
        run_id = start(cut_off, at, "steps", {})["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        # Had it been there before, it might have begun the run.
        other = stack.enter_context(serving(new_database, tmp_path / "b"))
        assert held(other, run_id) == (former, 1)
        way.is_shut = True
        way.cut()
        assert waiting.until(lambda: status(other, at, run_id) == "success")
        assert held(other, run_id) == (own(other), 2)
        assert known(other) == {own(other)}
        if is_long:
            # It gives up by itself before it knows what has become of the run.
            [active] = cut_off.service.scheduler._active.values()
            assert waiting.until(lambda: active.stopped_by == "lease_lost")
        way.is_shut = False
        gate.is_open = True
        assert waiting.until(lambda: len(known(other)) == 2)
        assert waiting.until(lambda: own(cut_off) != former)
        assert waiting.until(lambda: not cut_off.service.scheduler.active)
        assert seen(other, at) == list(range(COUNT))
        # It is one of them again.
        last = start(cut_off, at, "steps", {"seen": []})["run_id"]
        assert ended(cut_off, at, last) == "success"


def test_an_update_of_a_server_that_is_cut_off_is_refused_when_another_one_goes_on(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()
    write = state.update

    async def held_up(*args: Any) -> Any:
        begun.set()
        await waiting.auntil(go.is_set)
        return await write(*args)

    monkeypatch.setattr(state, "update", held_up)
    way = Way(new_database)
    with ExitStack() as stack:
        stack.callback(way.close)
        cut_off = stack.enter_context(serving(way.address, tmp_path / "a"))
        other = stack.enter_context(serving(new_database, tmp_path / "b"))
        pool = stack.enter_context(ThreadPoolExecutor())
        at = thread(other)
        assert ended(other, at, start(other, at, "steps", {})["run_id"]) == "success"
        body = {"values": {"seen": [99]}, "as_node": "step"}
        updating = pool.submit(cut_off.http.post, f"/threads/{at}/state", json=body)
        assert begun.wait(30)
        way.is_shut = True
        way.cut()
        # It waits for the update, until that is taken over.
        run_id = start(other, at, "steps", {"seen": []})["run_id"]
        assert ended(other, at, run_id) == "success"
        before = other.http.get(f"/threads/{at}").json()
        way.is_shut = False
        go.set()
        answer = updating.result()
        assert answer.status_code == 409
        assert "was taken for dead" in answer.json()["detail"]
        assert 99 not in seen(other, at)
        assert other.http.get(f"/threads/{at}").json() == before


def test_what_a_run_has_left_behind_stores_nothing_when_another_server_has_it(
    new_database: str, tmp_path: Path
) -> None:
    gate = Gate(3)
    way = Way(new_database)
    stored: list[BaseException | None] = []
    is_over = threading.Event()

    async def store(config: RunnableConfig) -> None:
        place = {"configurable": {"thread_id": config["configurable"]["thread_id"]}}
        saver = server_of[0].service.journal
        await waiting.auntil(is_over.is_set)
        found = await saver.aget_tuple(place)
        try:
            await saver.aput_writes(found.config, [("seen", [99])], str(uuid.uuid4()))
            stored.append(None)
        except BaseException as error:
            stored.append(error)
            raise

    async def leave(state: Steps, config: RunnableConfig) -> dict[str, Any]:
        left.append(asyncio.ensure_future(store(config)))
        return await gate.step(state)

    left: list[asyncio.Future[None]] = []
    server_of: list[Running] = []
    graph = StateGraph(Steps).add_node("step", leave).add_edge(START, "step")
    graph.add_conditional_edges(
        "step", lambda state: "step" if len(state["seen"]) < COUNT else "__end__"
    )
    with ExitStack() as stack:
        stack.callback(way.close)
        options: dict[str, Any] = {"database": way.address, "lease_seconds": 30}
        cut_off = stack.enter_context(
            running(config_of({"steps": graph.compile()}, tmp_path, **options))
        )
        server_of.append(cut_off)
        at = thread(cut_off)
        run_id = start(cut_off, at, "steps", {})["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        other = stack.enter_context(serving(new_database, tmp_path / "b"))
        way.is_shut = True
        way.cut()
        assert waiting.until(lambda: status(other, at, run_id) == "success")
        way.is_shut = False
        gate.is_open = True
        assert waiting.until(lambda: not cut_off.service.scheduler.active)
        is_over.set()
        assert waiting.until(lambda: len(stored) == len(left))
        # Perhaps it has begun another step, before it knew that the one before was refused.
        assert len(left) >= 4
        assert {type(each) for each in stored} == {FencedError}
        assert seen(other, at) == list(range(COUNT))
