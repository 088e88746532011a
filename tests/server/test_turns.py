"""Which run is next where there are more runs than slots, and how long runs and events may last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import pytest

import waiting
from millstream.graph import START, StateGraph
from millstream.server.runs.reading import FORGOTTEN
from millstream.server.storage import runs
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


def test_runs_that_wait_for_a_slot_begin_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=1) as (server, gate):
        x, y, z = thread(server), thread(server), thread(server)
        start(server, thread(server), "gate")
        # A thread with many runs does not keep the slot.
        for at, name in ((x, "x1"), (x, "x2"), (y, "y1"), (x, "x3"), (z, "z1")):
            start(server, at, name)
        assert waiting.until(lambda: gate.began == ["gate"])
        gate.opened.set()
        last = server.http.post(f"{x}/runs/wait", json=body("x4"))

    assert last.status_code == 200
    assert gate.began == ["gate", "x1", "x2", "y1", "x3", "z1", "x4"]


def test_no_more_runs_go_on_than_there_are_slots(tmp_path: Path) -> None:
    with serving(tmp_path, n_jobs_per_worker=3) as (server, gate):
        for _ in range(5):
            start(server, thread(server), "gate")
        assert waiting.until(lambda: len(gate.began) == 3)
        assert server.service.scheduler.active == 3
        # Whoever comes now waits behind the others, and is done all the same.
        at = thread(server)
        start(server, at, "last")
        assert server.http.get(at).json()["status"] == "busy"
        gate.opened.set()
        assert waiting.until(lambda: server.http.get(at).json()["status"] == "idle")

    assert gate.began == ["gate"] * 5 + ["last"]


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
        claimed = server.service.db.write_soon(runs.claim_due, 2).result(30)

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
