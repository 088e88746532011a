"""What a server does that is asked about a run which another one carries out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import waiting
from millstream.server.replicas import membership
from server.fixtures import Running
from server.held import held as what_is_held
from server.held import kept
from server.streams import start, thread
from server.test_recovery import COUNT, Gate, ended
from server.test_replicas import held, own, seen, serving, status
from server.ways import Way

pytestmark = pytest.mark.real_time(reason="leases end by the clock of the database")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody waited for whose connection is lost: the tests' database may be new."""
    monkeypatch.setattr(membership, "FRESH", 0.0)
    monkeypatch.setattr(membership, "MISSED", 0.5)
    monkeypatch.setattr(membership, "BEAT", 0.2)


class Pair(NamedTuple):
    """Two servers; the runs are carried out by the first."""

    holder: Running
    other: Running
    gate: Gate

    def begin(self, at: str, input: Any = None, **body: Any) -> str:
        """Have a run begin at the holder that waits at the gate, and return its id."""
        run_id = str(start(self.holder, at, "steps", input or {}, **body)["run_id"])
        assert waiting.until(lambda: self.gate.is_reached)
        return run_id


@contextmanager
def pair(address: str, folder: Path, gate: Gate | None = None, **options: Any) -> Iterator[Pair]:
    """Serve twice."""
    gate = gate or Gate(3)
    with (
        serving(address, folder / "holder", gate, **options) as holder,
        serving(address, folder / "other", gate, role="api") as other,
    ):
        yield Pair(holder, other, gate)


@pytest.fixture
def servers(new_database: str, tmp_path: Path) -> Iterator[Pair]:
    with pair(new_database, tmp_path) as made:
        yield made


def joined(server: Running, at: str, run_id: str) -> bytes:
    """Return the result of a run as who waits for it gets it."""
    return bytes(server.http.get(f"/threads/{at}/runs/{run_id}/join").content.lstrip())


def are_waiting(server: Running, count: int = 1) -> bool:
    """Say whether so many runs are waited for at a server."""
    return len(server.service.scheduler.results._waiters) == count


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_a_run_is_cancelled_at_another_server(servers: Pair, action: str) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at)
    path = f"/threads/{at}/runs/{run_id}"
    before = what_is_held(servers.other)

    response = servers.other.http.post(f"{path}/cancel", params={"wait": "1", "action": action})

    assert response.json() == {}
    assert servers.holder.service.scheduler.active == 0
    left = servers.other.http.get(path)
    assert (
        left.status_code == 404 if action == "rollback" else left.json()["status"] == action + "ed"
    )
    assert servers.other.http.get(f"/threads/{at}").json()["status"] != "busy"
    assert not kept(servers.other, before)


def test_runs_and_threads_are_deleted_at_another_server(servers: Pair) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at)

    assert servers.other.http.delete(f"/threads/{at}/runs/{run_id}").status_code == 204
    assert servers.holder.http.get(f"/threads/{at}/runs/{run_id}").status_code == 404

    servers.gate.is_reached = False
    servers.begin(at, {"seen": []})
    assert servers.other.http.delete(f"/threads/{at}").status_code == 204
    assert servers.holder.http.get(f"/threads/{at}").status_code == 404
    assert servers.holder.service.scheduler.active == 0


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_a_run_gives_way_to_one_that_another_server_is_asked_for(
    servers: Pair, strategy: str
) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at)
    servers.gate.is_open = True
    next_one = start(servers.other, at, "steps", {"seen": []}, multitask_strategy=strategy)
    assert ended(servers.other, at, next_one["run_id"]) == "success"
    first = servers.other.http.get(f"/threads/{at}/runs/{run_id}")
    assert first.status_code == 404 or first.json()["status"] in ("interrupted", "success")
    assert held(servers.other, next_one["run_id"])[0] == own(servers.holder)


def test_a_run_is_cancelled_whose_reader_elsewhere_leaves(servers: Pair) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at)
    path = f"/threads/{at}/runs/{run_id}"
    with servers.other.http.stream("GET", f"{path}/join", params={"cancel_on_disconnect": "1"}):
        assert waiting.until(lambda: are_waiting(servers.other))
    assert waiting.until(lambda: status(servers.holder, at, run_id) == "interrupted")


def test_a_holder_that_hears_nobody_sees_with_its_lease_that_a_run_is_to_stop(
    new_database: str, tmp_path: Path
) -> None:
    way = Way(new_database)
    try:
        with pair(new_database, tmp_path, listen_database=way.address) as servers:
            at = thread(servers.holder)
            run_id = servers.begin(at)
            way.is_shut = True
            way.cut()
            bell = servers.holder.service.scheduler._bell
            assert waiting.until(lambda: not bell.is_listening)
            path = f"/threads/{at}/runs/{run_id}"
            response = servers.other.http.post(f"{path}/cancel", params={"wait": "1"})
            assert response.json() == {}
            assert status(servers.other, at, run_id) == "interrupted"
    finally:
        way.close()


def test_results_are_the_same_wherever_one_waits(servers: Pair) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at)
    before = what_is_held(servers.other)
    with ThreadPoolExecutor(8) as pool:
        there = [pool.submit(joined, servers.other, at, run_id) for _ in range(3)]
        here = pool.submit(joined, servers.holder, at, run_id)
        assert waiting.until(lambda: are_waiting(servers.holder))
        assert waiting.until(lambda: is_followed(servers.other, run_id))
        servers.gate.is_open = True
        assert {each.result() for each in there} == {here.result()}
    assert seen(servers.other, at) == list(range(COUNT))
    assert not kept(servers.other, before)
    # Who comes later gets the same.
    assert joined(servers.other, at, run_id) == joined(servers.holder, at, run_id)


@pytest.mark.parametrize("end", ["cancelled", "failed", "success"])
def test_a_stateless_run_is_waited_for_at_another_server_than_carries_it_out(
    servers: Pair, end: str
) -> None:
    # It breaks off before the gate, or behind it.
    body: dict[str, Any] = {"assistant_id": "steps", "input": {}}
    if end == "failed":
        body["config"] = {"recursion_limit": 4}

    def wait(server: Running) -> bytes:
        return bytes(server.http.post("/runs/wait", json=body).content.lstrip())

    with ThreadPoolExecutor(2) as pool:
        there = pool.submit(wait, servers.other)
        assert waiting.until(lambda: servers.gate.is_reached)
        if end == "cancelled":
            everything = {"status": "running"}
            assert servers.other.http.post("/runs/cancel", json=everything).status_code == 204
        else:
            servers.gate.is_open = True
        result = there.result()
    if end == "cancelled":
        assert result == b"{}"
    else:
        assert result == wait(servers.holder)
    assert servers.holder.service.scheduler.active == 0


def is_followed(server: Running, run_id: str) -> bool:
    """Say whether it is known of a run that another server than its holder wants to know of it."""
    return run_id in server.service.scheduler.following._threads
