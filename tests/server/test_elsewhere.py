"""What a server does that is asked about a run which another one carries out."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy

import waiting
from millstream.server.replicas import lease
from millstream.server.storage.tables import runs
from server import held as holding
from server.fixtures import Running
from server.protocol import ALL, is_end, listening, result, until
from server.streams import Event, live, parse, start, stream, thread
from server.test_recovery import COUNT, Gate, ended
from server.test_replicas import held, own, seen, serving, status
from server.test_v3_websocket import connected, events, say
from server.ways import Way

pytestmark = [
    pytest.mark.real_time(reason="leases end by the clock of the database"),
    pytest.mark.usefixtures("impatient"),
]


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
        serving(address, folder / "other", gate, role="api", **options) as other,
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


def kept(server: Running, before: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
    """Return what a server holds more of than before.

    The sockets are those of two servers, and a lease is renewed all the time.
    """
    renewing = {"http: SharedMembership.renew": 1, "database connections in use": 1}
    return holding.kept(server, {**before, **renewing, "sockets": sys.maxsize})


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_a_run_is_cancelled_at_another_server(servers: Pair, action: str) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at)
    path = f"/threads/{at}/runs/{run_id}"
    before = holding.held(servers.other)

    response = servers.other.http.post(f"{path}/cancel", params={"wait": "1", "action": action})

    assert response.json() == {}
    assert waiting.until(lambda: servers.holder.service.scheduler.active == 0)
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
    assert waiting.until(lambda: servers.holder.service.scheduler.active == 0)


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
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It lives, though its connection is missed.
    monkeypatch.setattr(lease, "MISSED", 60.0)
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
    before = holding.held(servers.other)
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
    assert waiting.until(lambda: servers.holder.service.scheduler.active == 0)


def is_followed(server: Running, run_id: str) -> bool:
    """Say whether it is known of a run that another server than its holder wants to know of it."""
    return run_id in server.service.scheduler.elsewhere.following._threads


def events_of(response: httpx.Response) -> list[Event]:
    """Return the events of a stream that has been read to its end."""
    assert response.status_code == 200, response.text
    return parse(response.text)


def without_ids(events: list[Event]) -> list[tuple[str, Any]]:
    return [(event.name, event.data) for event in events]


def read(server: Running, path: str, **headers: str) -> bytes:
    """Return everything that a stream says."""
    return bytes(server.http.get(path, headers=headers).content)


@pytest.mark.parametrize("is_resumable", [False, True])
def test_a_run_that_another_server_begins_is_streamed(servers: Pair, *, is_resumable: bool) -> None:
    servers.gate.is_open = True
    modes = ["values", "updates"]
    body = {"stream_mode": modes, "stream_resumable": is_resumable, "input": {}}
    before = holding.held(servers.other)

    there = stream(servers.other, "steps", **body)
    here = stream(servers.holder, "steps", **body)

    assert without_ids(there)[1:] == without_ids(here)[1:]
    assert [str(event.id).split("-")[-1] for event in there] == [
        str(event.id).split("-")[-1] for event in here
    ]
    assert not kept(servers.other, before)


@pytest.mark.parametrize("is_resumable", [False, True])
def test_a_run_elsewhere_is_read_from_now_on(servers: Pair, *, is_resumable: bool) -> None:
    at = thread(servers.holder)
    modes = ["values", "updates"]
    run_id = servers.begin(at, stream_mode=modes, stream_resumable=is_resumable)
    path = f"/threads/{at}/runs/{run_id}/stream"
    before = holding.held(servers.other)
    with (
        servers.holder.http.stream("GET", path) as here,
        servers.other.http.stream("GET", path) as there,
    ):
        servers.gate.is_open = True
        told = [each.read() for each in (here, there)]
    assert parse(told[0].decode()) == parse(told[1].decode())
    updates = [event.data for event in parse(told[1].decode()) if event.name == "updates"]
    assert updates == [{"step": {"seen": [n]}} for n in range(3, COUNT)]
    assert not kept(servers.other, before)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_reader_comes_to_another_server_with_its_last_event(servers: Pair, count: int) -> None:
    at = thread(servers.holder)
    modes = ["values", "updates"]
    run_id = servers.begin(at, stream_mode=modes, stream_resumable=True)
    path = f"/threads/{at}/runs/{run_id}/stream"
    with servers.holder.http.stream("GET", path, headers={"last-event-id": "-1"}) as here:
        events = live(here)
        first = [next(events) for _ in range(count)]
    last = str(first[-1].id) if first else "-1"
    with servers.other.http.stream("GET", path, headers={"last-event-id": last}) as there:
        servers.gate.is_open = True
        rest = parse(there.read().decode())
    # After the end it is read from rows, wherever.
    for server in (servers.holder, servers.other):
        assert first + rest == parse(read(server, path, **{"last-event-id": "-1"}).decode())
    seqs = [int(str(event.id).split("-")[1]) for event in first + rest]
    assert seqs == list(range(1, len(seqs) + 1))


def test_a_thread_is_read_wherever_its_runs_are_carried_out(servers: Pair) -> None:
    servers.gate.is_open = True
    at = thread(servers.holder)
    path = f"/threads/{at}/stream"
    before = holding.held(servers.other)
    with (
        servers.holder.http.stream("GET", path) as here,
        servers.other.http.stream("GET", path) as there,
    ):
        for n in range(2):
            # One of them is asked for at either.
            server = (servers.holder, servers.other)[n]
            run = start(server, at, "steps", {"seen": []}, stream_mode=["updates"])
            assert ended(server, at, run["run_id"]) == "success"
        ends = [run_done(live(each), 2) for each in (here, there)]
    assert ends[0] == ends[1]
    assert [event.name for event in ends[1]].count("metadata") == 4
    assert not kept(servers.other, before)


def test_who_reads_a_thread_is_told_of_a_state_that_another_server_changes(
    servers: Pair,
) -> None:
    servers.gate.is_open = True
    at = thread(servers.holder)
    run = start(servers.holder, at, "steps", {})
    assert ended(servers.holder, at, run["run_id"]) == "success"
    modes = {"stream_modes": "state_update"}
    with (
        servers.other.http.stream("GET", f"/threads/{at}/stream", params=modes) as there,
        servers.holder.http.stream("GET", f"/threads/{at}/stream", params=modes) as here,
    ):
        changed = {"values": {"seen": [99]}, "as_node": "step"}
        assert servers.holder.http.post(f"/threads/{at}/state", json=changed).status_code == 200
        told = [next(live(each)) for each in (there, here)]
    assert (told[0].name, told[0].data) == (told[1].name, told[1].data)
    assert told[0].data["state"]["values"]["seen"] == [*range(COUNT), 99]


def run_done(events: Iterator[Event], count: int) -> list[Event]:
    """Return what a thread says until so many of its runs have ended."""
    told = []
    for event in events:
        told.append(event)
        count -= event.name == "metadata" and event.data.get("status") == "run_done"
        if not count:
            break
    return told


def test_a_client_of_the_protocol_subscribes_here_and_commands_there(servers: Pair) -> None:
    servers.gate.is_open = True
    at = str(uuid.uuid4())
    before = holding.held(servers.other)
    with listening(servers.other, at) as there, listening(servers.holder, at) as here:
        first = result(servers.holder, at, "run.start", assistant_id="steps", input={})
        told = [until(each, is_end) for each in (there, here)]
        # A run of the other API tells the same, at whichever server it is asked for.
        second = start(servers.holder, at, "steps", {"seen": []}, stream_mode=["values"])
        third = start(servers.other, at, "steps", {"seen": []}, stream_mode=["values"])
        for _ in range(2):
            told = [
                [*one, *until(each, is_end)] for one, each in zip(told, (there, here), strict=True)
            ]
    assert told[0] == told[1]
    seqs = [event.data["seq"] for event in told[0]]
    assert seqs == list(range(1, len(seqs) + 1))
    made = [first["run_id"], second["run_id"], third["run_id"]]
    assert [ended(servers.other, at, run) for run in made] == ["success"] * 3
    assert not kept(servers.other, before)
    # What is replayed is the same as well.
    with listening(servers.other, at) as there, connected(servers.other, at) as socket:
        say(socket, "subscription.subscribe", channels=ALL)
        for each in (there, events(socket)):
            again = [event for _ in range(3) for event in until(each, is_end)]
            assert [event.data for event in again] == [event.data for event in told[0]]


def test_a_connection_here_is_told_of_a_run_that_goes_on_there(servers: Pair) -> None:
    at = thread(servers.holder)
    run_id = result(servers.holder, at, "run.start", assistant_id="steps", input={})["run_id"]
    assert waiting.until(lambda: servers.gate.is_reached)
    tree = result(servers.other, at, "agent.getTree")["tree"]
    assert (tree["graph_name"], tree["status"]) == ("steps", "running")
    assert tree == result(servers.holder, at, "agent.getTree", run_id=run_id)["tree"]
    with connected(servers.other, at) as socket, listening(servers.holder, at) as here:
        say(socket, "subscription.subscribe", channels=ALL)
        servers.gate.is_open = True
        there = until(events(socket), is_end)
        assert [event.data for event in there] == [event.data for event in until(here, is_end)]


def test_readers_elsewhere_stay_when_their_run_is_taken_over(
    new_database: str, tmp_path: Path
) -> None:
    gate, way = Gate(3), Way(new_database)
    modes = {"stream_mode": ["values", "updates"], "stream_resumable": True}
    with ExitStack() as stack:
        stack.callback(way.close)
        cut_off = stack.enter_context(serving(way.address, tmp_path / "a", gate))
        at = thread(cut_off)
        run_id = str(start(cut_off, at, "steps", {}, **modes)["run_id"])
        assert waiting.until(lambda: gate.is_reached)
        taker = stack.enter_context(serving(new_database, tmp_path / "b"))
        reader = stack.enter_context(serving(new_database, tmp_path / "c", role="api"))
        path = f"/threads/{at}/runs/{run_id}/stream"
        with ThreadPoolExecutor(3) as pool:
            told = [
                pool.submit(read, server, path, **{"last-event-id": "-1"})
                for server in (taker, reader, cut_off)
            ]
            result = pool.submit(joined, reader, at, run_id)
            for server in (taker, reader):
                assert waiting.until(lambda server=server: is_followed(server, run_id))
            way.is_shut = True
            way.cut()
            assert ended(taker, at, run_id) == "success"
            assert held(reader, run_id) == (own(taker), 2)
            # Who had the run comes back, and its readers are told the rest.
            way.is_shut = False
            gate.is_open = True
            streams = [each.result() for each in told]
        streams.append(read(reader, path, **{"last-event-id": "-1"}))
        # But for signs of life.
        of_run, *others = [parse(each.decode()) for each in streams]
        for each in others:
            assert each == of_run
        attempts = [event.data["attempt"] for event in of_run if event.name == "metadata"]
        assert attempts == [1, 2]
        updates = [event.data for event in of_run if event.name == "updates"]
        assert updates == [{"step": {"seen": [n]}} for n in range(COUNT)]
        assert result.result() == joined(taker, at, run_id)


def test_a_plain_stream_of_a_run_that_was_taken_over_does_not_look_whole(
    new_database: str, tmp_path: Path
) -> None:
    gate, way = Gate(3), Way(new_database)
    with ExitStack() as stack:
        stack.callback(way.close)
        cut_off = stack.enter_context(serving(way.address, tmp_path / "a", gate))
        at = thread(cut_off)
        run_id = str(start(cut_off, at, "steps", {}, stream_mode=["updates"])["run_id"])
        assert waiting.until(lambda: gate.is_reached)
        taker = stack.enter_context(serving(new_database, tmp_path / "b"))
        path = f"/threads/{at}/runs/{run_id}/stream"
        with cut_off.http.stream("GET", path) as here:
            way.is_shut = True
            way.cut()
            assert ended(taker, at, run_id) == "success"
            way.is_shut = False
            gate.is_open = True
            with pytest.raises(httpx.RemoteProtocolError):
                here.read()


@pytest.mark.parametrize("is_back", [False, True])
def test_nothing_is_missed_when_the_doorbell_is_cut(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_back: bool
) -> None:
    # Both live, though their connections are missed.
    monkeypatch.setattr(lease, "MISSED", 60.0)
    way = Way(new_database)
    with ExitStack() as stack:
        stack.callback(way.close)
        servers = stack.enter_context(pair(new_database, tmp_path, listen_database=way.address))
        at = thread(servers.holder)
        run_id = servers.begin(at, stream_mode=["updates"])
        path = f"/threads/{at}/runs/{run_id}/stream"
        with servers.other.http.stream("GET", path) as there:
            way.is_shut = True
            way.cut()
            bell = servers.other.service.scheduler._bell
            assert waiting.until(lambda: not bell.is_listening)
            way.is_shut = not is_back
            servers.gate.is_open = True
            told = parse(there.read().decode())
        assert [event.data for event in told] == [{"step": {"seen": [n]}} for n in range(3, COUNT)]


def test_many_readers_cost_one_query_a_ring(servers: Pair) -> None:
    at = thread(servers.holder)
    run_id = servers.begin(at, stream_mode=["updates"])
    path = f"/threads/{at}/runs/{run_id}/stream"
    engine = servers.other.service.db.engine
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.extend([statement] if "AS place" in statement else [])

    with ExitStack() as stack:
        readers = [stack.enter_context(servers.other.http.stream("GET", path)) for _ in range(50)]
        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
        heard = servers.other.service.scheduler._bell.received
        servers.gate.is_open = True
        told = [parse(each.read().decode()) for each in readers]
        heard = servers.other.service.scheduler._bell.received - heard
    assert told == [told[0]] * 50
    assert len(told[0]) == COUNT - 3
    # And those that are due while a lease is renewed.
    assert 0 < len(asked) <= 2 * heard + 10


def test_a_server_that_is_alone_rings_for_nobody(new_database: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        alone = stack.enter_context(serving(new_database, tmp_path / "a", role="api"))
        bell = alone.service.bell
        # Its own ring may be heard before it is counted.
        assert waiting.until(lambda: bell.is_listening and bell.sent == 1)
        at = thread(alone)
        first = start(alone, at, "steps", {})["run_id"]
        assert bell.sent == 1
        stack.enter_context(serving(new_database, tmp_path / "b"))
        # What was there is found, what comes is rung for.
        assert ended(alone, at, first) == "success"
        second = start(alone, at, "steps", {"seen": []})["run_id"]
        assert ended(alone, at, second) == "success"
        assert waiting.until(lambda: bell.sent > 1)


def test_a_server_tells_who_has_come_since_it_has_looked_for_others(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 60.0)
    at = str(uuid.uuid4())
    with (
        serving(new_database, tmp_path / "a", lease_seconds=180) as before,
        serving(new_database, tmp_path / "b", lease_seconds=180, role="api") as newcomer,
    ):
        assert waiting.until(lambda: newcomer.service.bell.is_listening)
        with listening(newcomer, at) as there:
            start(before, at, "steps", {}, stream_mode=["values"], if_not_exists="create")
            told = until(there, is_end)
        assert not before.service.membership.others
    assert told


def test_who_has_read_more_than_is_known_here_reads_nothing_twice(servers: Pair) -> None:
    at = thread(servers.holder)
    modes = {"stream_mode": ["values", "updates"], "stream_resumable": True}
    run_id = servers.begin(at, **modes)
    path = f"/threads/{at}/runs/{run_id}/stream"
    with servers.holder.http.stream("GET", path, headers={"last-event-id": "-1"}) as here:
        told = live(here)
        first = [next(told) for _ in range(4)]

    def show_one(connection: sqlalchemy.Connection) -> None:
        mine = sqlalchemy.update(runs).where(runs.c.run_id == run_id)
        connection.execute(mine.values(is_followed=True, shown=1))

    asyncio.run(servers.other.service.db.write(show_one))
    stream = servers.other.http.stream
    with (
        stream("GET", path, headers={"last-event-id": "-1"}) as whole,
        stream("GET", path, headers={"last-event-id": str(first[-1].id)}) as rest,
        stream("GET", f"/threads/{at}/stream", headers={"last-event-id": str(first[-1].id)}) as all,
    ):
        servers.gate.is_open = True
        of_run, then = (parse(each.read().decode()) for each in (whole, rest))
        assert of_run == [*first, *then]
        assert run_done(live(all), 1)[:-1] == then
