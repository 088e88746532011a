"""Which run is next where there are more runs than slots, and how long runs and events may last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest
from sqlalchemy import Connection, update

import waiting
from millstream.graph import START, StateGraph
from millstream.server.runs.reading import FORGOTTEN
from millstream.server.storage import queue
from millstream.server.storage.run_records import Holder
from millstream.server.storage.tables import runs
from millstream.server.storage.times import now
from server.fixtures import Running, config_of, running


class State(TypedDict, total=False):
    name: str


class Gate:
    """A graph that says which of its runs began, in order; one called `gate` waits to be let go."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.opened = threading.Event()

    async def begin(self, state: State) -> State:
        self.began.append(state["name"])
        if state["name"] == "gate":
            await asyncio.to_thread(self.opened.wait)
        if state["name"] == "ever":
            await asyncio.Event().wait()
        return {}

    def graph(self) -> Any:
        return StateGraph(State).add_node(self.begin).add_edge(START, "begin").compile()


@contextmanager
def serving(directory: Path, **options: Any) -> Iterator[tuple[Running, Gate]]:
    gate = Gate()
    with running(config_of({"gate": gate.graph()}, directory, **options)) as server:
        try:
            yield server, gate
        finally:
            gate.opened.set()


def thread(server: Running) -> str:
    return f"/threads/{server.http.post('/threads', json={}).json()['thread_id']}"


def body(name: str, **more: Any) -> dict[str, Any]:
    return {"assistant_id": "gate", "input": {"name": name}, **more}


def start(server: Running, at: str, name: str, **more: Any) -> str:
    response = server.http.post(f"{at}/runs", json=body(name, **more))
    assert response.status_code == 200, response.text
    run_id: str = response.json()["run_id"]
    return run_id


def test_runs_that_want_a_slot_begin_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        x, y, z = thread(server), thread(server), thread(server)
        start(server, thread(server), "gate")
        # A thread with many runs does not keep the slot: each is there when the one before it ends.
        for at, name in ((x, "x1"), (x, "x2"), (y, "y1"), (x, "x3"), (z, "z1")):
            start(server, at, name)
        # Before others end: one that is being stored holds its thread, which is passed by then.
        run_id = start(server, x, "x4")
        assert waiting.until(lambda: gate.began == ["gate"])
        gate.opened.set()
        last = server.http.get(f"{x}/runs/{run_id}/join")

    assert last.status_code == 200
    assert gate.began == ["gate", "x1", "y1", "z1", "x2", "x3", "x4"]


def test_no_more_runs_go_on_than_there_are_slots(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=3) as (server, gate):
        for _ in range(8):
            start(server, thread(server), "gate")
        assert waiting.until(lambda: len(gate.began) == 3)
        assert server.service.scheduler.active == 3
        # Whoever comes now waits behind the others, and is done all the same.
        at = thread(server)
        start(server, at, "last")
        assert server.http.get(at).json()["status"] == "busy"
        gate.opened.set()
        assert waiting.until(lambda: server.http.get(at).json()["status"] == "idle")

    # Of three that take the last slots at the same time any may be first.
    assert gate.began[:6] == ["gate"] * 6
    assert sorted(gate.began) == ["gate"] * 8 + ["last"]


def test_a_thread_with_many_runs_hides_no_other_from_free_slots(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        x, y = thread(server), thread(server)
        start(server, thread(server), "gate")
        first = start(server, x, "x")
        for _ in range(20):
            start(server, x, "x")
        alone = start(server, y, "y")
        assert waiting.until(lambda: gate.began == ["gate"])

        # As the next process does, that finds them with all of its slots free.
        claimed = server.service.db.write_soon(queue.claim, 2, {}, Holder("next")).result(30).jobs

    assert [job.run_id for job in claimed] == [first, alone]


def test_runs_that_are_put_off_take_no_slot_and_come_after_those_that_waited(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        late, soon = thread(server), thread(server)
        start(server, thread(server), "gate")
        start(server, late, "much later", after_seconds=3600)
        start(server, soon, "soon")
        gate.opened.set()
        assert waiting.until(lambda: server.http.get(soon).json()["status"] == "idle")
        assert server.service.scheduler.active == 0

    assert gate.began == ["gate", "soon"]


ADA, BEN = {"x-api-key": "key-of-ada-0123456789"}, {"x-api-key": "key-of-ben-0123456789"}


def ask(server: Running, name: str, headers: Any = None, **more: Any) -> str:
    """Ask for a run without a thread."""
    response = server.http.post("/runs", json=body(name, **more), headers=headers)
    assert response.status_code == 200, response.text
    run_id: str = response.json()["run_id"]
    return run_id


def test_the_most_urgent_run_is_next_and_those_of_a_thread_keep_their_order(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        x = thread(server)
        start(server, x, "gate")
        start(server, x, "x1", priority=5)
        start(server, x, "x2", priority=-5)
        ask(server, "usual")
        ask(server, "low", priority=3)
        ask(server, "first", priority=-4)
        made = server.http.post("/runs", json=body("second", priority=-3)).json()
        gate.opened.set()
        assert waiting.until(lambda: len(gate.began) == 7)

    assert made["kwargs"]["priority"] == -3
    assert gate.began == ["gate", "first", "second", "usual", "low", "x1", "x2"]


@pytest.mark.parametrize("priority", [-6, 6, 1.5, "1", True, [1]])
def test_a_priority_that_there_is_not_is_refused(tmp_path: Path, priority: Any) -> None:
    with serving(tmp_path) as (server, gate):
        refused = server.http.post("/runs/wait", json=body("a", priority=priority))
        usual = server.http.post("/runs/wait", json=body("b", priority=None))

    assert refused.status_code == 422
    assert "priority" in refused.json()["detail"]
    assert usual.status_code == 200
    assert gate.began == ["b"]


def test_callers_take_turns_however_many_runs_each_has_asked_for(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(
        f"ada: {ADA['x-api-key']}\nben: {BEN['x-api-key']}\n", encoding="utf-8"
    )
    options = {"n_jobs_per_worker": 1, "api_key_file": "keys"}
    with serving(tmp_path, **options) as (server, gate):
        ask(server, "gate", ADA)
        batch = [body(f"a{n}") for n in range(20)]
        server.http.post("/runs/batch", json=batch, headers=ADA)
        ask(server, "b1", BEN)
        ask(server, "b2", BEN)
        gate.opened.set()
        assert waiting.until(lambda: len(gate.began) == 23)

    assert gate.began[:7] == ["gate", "a0", "a1", "b1", "a2", "b2", "a3"]


def test_who_waits_behind_a_cancelled_run_is_next(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        x = thread(server)
        start(server, thread(server), "gate")
        first = start(server, x, "x1")
        start(server, x, "x2")
        start(server, thread(server), "y")
        assert server.http.post(f"{x}/runs/{first}/cancel").status_code == 202
        gate.opened.set()
        assert waiting.until(lambda: server.http.get(x).json()["status"] == "idle")

    assert gate.began == ["gate", "y", "x2"]


def test_the_next_process_goes_on_with_what_had_begun_and_keeps_the_turns(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        ask(server, "gate")
        assert waiting.until(lambda: gate.began == ["gate"])
        ask(server, "a")
        ask(server, "b", priority=-1)
        had_begun = ask(server, "on", priority=5)
        late = ask(server, "late", priority=1, after_seconds=3600)

        def end(connection: Connection) -> None:
            """Leave what a process leaves behind that is killed, an hour later."""
            begun = update(runs).where(runs.c.run_id == had_begun)
            connection.execute(begun.values(status="running", turn=None, attempt=1))
            due = update(runs).where(runs.c.run_id == late)
            connection.execute(due.values(start_at=now(connection)))

        server.service.db.write_soon(end).result(30)
        server.loop.call_soon_threadsafe(server.service.drain)
        assert waiting.until(lambda: not server.service.scheduler._starting.has_slot)
    with serving(tmp_path, n_jobs_per_worker=1) as (server, again):
        assert waiting.until(lambda: len(again.began) == 4)

    assert gate.began == ["gate"]
    assert again.began == ["on", "b", "a", "late"]


@pytest.mark.parametrize("how", ["stream", "wait", "join"])
def test_a_run_that_takes_too_long_ends_and_its_thread_goes_on(tmp_path: Path, how: str) -> None:
    with serving(tmp_path, run_timeout_seconds=0.2) as (server, _):
        at = thread(server)
        if how == "join":
            told = server.http.get(f"{at}/runs/{start(server, at, 'ever')}/join").text
        else:
            told = server.http.post(f"{at}/runs/{how}", json=body("ever")).text
        run = server.http.get(f"{at}/runs").json()[0]
        after = server.http.get(at).json()
    # A busy machine would end this one in that time, too.
    with serving(tmp_path) as (server, _):
        again = server.http.post(f"{at}/runs/wait", json=body("more"))

    assert "TimeoutError" in told
    assert "took longer than a run may" in told
    assert (run["status"], after["status"]) == ("timeout", "error")
    assert after["error"]["error"] == "TimeoutError"
    assert again.json() == {"name": "more"}


def test_who_comes_back_too_late_is_told_so_and_gets_the_result(tmp_path: Path) -> None:
    with serving(tmp_path, event_retention_seconds=0.2) as (server, _):
        at = thread(server)
        resumable = body("a", stream_resumable=True)
        response = server.http.post(f"{at}/runs/stream", json=resumable)
        path = response.headers["content-location"]
        back = {"last-event-id": "0"}

        def read() -> bytes:
            return server.http.get(f"{path}/stream", headers=back).content

        assert read() == response.content or read() == FORGOTTEN
        assert waiting.until(lambda: read() == FORGOTTEN)
        # The run is still there, and what it has come to; threads are read as if it said nothing.
        assert server.http.get(path).json()["status"] == "success"
        assert server.http.get(f"{path}/join").json() == {"name": "a"}
        stateless = server.http.post("/runs/stream", json=resumable)
        gone = stateless.headers["content-location"]
        assert waiting.until(lambda: server.http.get(f"{gone}/join").json().get("__error__"))


STRATEGIES = {
    "reject": ("success", None),
    "enqueue": ("success", "success"),
    "interrupt": ("interrupted", "success"),
    "rollback": (None, "success"),
}
"""By strategy, what becomes of the run that is there and of the one that comes."""


@pytest.mark.parametrize("how", ["stream", "wait", "join"])
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_whoever_waits_for_a_run_gets_its_end_whatever_comes_after_it(
    tmp_path: Path, strategy: str, how: str
) -> None:
    first, second = STRATEGIES[strategy]
    found: dict[str, Any] = {}
    with serving(tmp_path) as (server, gate):
        at = thread(server)

        def read() -> None:
            if how == "join":
                run_id = start(server, at, "gate")
                found["first"] = server.http.get(f"{at}/runs/{run_id}/join")
            else:
                found["first"] = server.http.post(f"{at}/runs/{how}", json=body("gate"))

        reader = threading.Thread(target=read)
        reader.start()
        assert waiting.until(lambda: gate.began == ["gate"])
        [known] = server.http.get(f"{at}/runs").json()
        comes = body("second", multitask_strategy=strategy)
        created = server.http.post(f"{at}/runs", json=comes)
        gate.opened.set()
        reader.join(30)
        assert not reader.is_alive()
        assert waiting.until(lambda: server.http.get(at).json()["status"] != "busy")
        statuses = {run["run_id"]: run["status"] for run in server.http.get(f"{at}/runs").json()}

    assert found["first"].status_code == 200
    assert statuses.get(known["run_id"]) == first
    assert created.status_code == (409 if second is None else 200)
    if second is not None:
        assert statuses[created.json()["run_id"]] == second
