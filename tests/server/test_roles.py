"""Servers on one PostgreSQL that answer, or carry out runs, and what each tells of the others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import waiting
from millstream.server.api.routing import OPERATIONS
from millstream.server.config import CheckpointerConfig, HttpConfig, ServerConfig, TtlConfig
from millstream.server.config_files import load_config
from millstream.server.errors import ConfigError
from millstream.server.replicas.membership import Membership
from millstream.server.service import Service
from millstream.server.storage import threads
from millstream.server.storage.postgres_engine import Address
from millstream.server.storage.replicas import Member
from server import custom_app
from server.clocks import HandClock
from server.fixtures import Running, config_of
from server.streams import start, thread
from server.test_metrics import read
from server.test_recovery import COUNT, Gate
from server.test_replicas import (
    known,
    own,
    seen,
    serving,
    status,
)
from server.ways import Way

pytestmark = [
    pytest.mark.real_time(reason="leases end by the clock of the database"),
    pytest.mark.usefixtures("impatient"),
]
SHARED = "postgresql://me@db.example/name"
ID = "0" * 8 + "-0000-4000-8000-" + "0" * 12


@pytest.fixture
def pair(new_database: str, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    """Give a server that answers, and one that carries out runs."""
    with (
        serving(new_database, tmp_path / "api", role="api") as api,
        serving(new_database, tmp_path / "worker", role="worker") as worker,
    ):
        yield api, worker


def test_a_worker_carries_out_runs_and_tells_nothing_but_how_it_is(
    pair: tuple[Running, Running],
) -> None:
    api, worker = pair
    answered = set()
    for operation in OPERATIONS:
        path = re.sub(r"{\w+(:\w+)?}", ID, operation.path)
        code = worker.http.request(operation.method, path, json={}).status_code
        if code != 404:
            answered.add((operation.method, operation.path, code))
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{worker.url.replace('http', 'ws')}/threads/{ID}/stream/events").close()

    paths = ("/", "/info", "/livez", "/metrics", "/ok", "/readyz")
    assert sorted(answered) == [("GET", path, 200) for path in paths]
    assert refused.value.response.status_code in (403, 404)
    at = thread(api)
    run_id = start(api, at, "steps", {})["run_id"]
    assert waiting.until(lambda: status(api, at, run_id) == "success")
    assert seen(api, at) == list(range(COUNT))
    assert read(worker)["lg_api_workers_max",] == 10
    assert read(api)["lg_api_workers_max",] == 0


def test_a_worker_that_hears_nobody_looks_for_runs_by_itself(
    new_database: str, tmp_path: Path
) -> None:
    elsewhere = f"{new_database.rpartition('/')[0]}/postgres"
    with (
        serving(new_database, tmp_path / "api", role="api") as api,
        serving(
            new_database, tmp_path / "worker", role="worker", listen_database=elsewhere
        ) as worker,
    ):
        assert waiting.until(lambda: bool(worker.service.membership.others))
        at = thread(api)
        run_id = start(api, at, "steps", {})["run_id"]
        assert waiting.until(lambda: status(api, at, run_id) == "success")
        assert not worker.service.bell.is_listening


def test_a_worker_enters_what_is_around_an_application_and_has_none_of_its_routes(
    new_database: str, tmp_path: Path
) -> None:
    """Graphs may need what is opened there."""
    http = HttpConfig(app="server.custom_app:app")
    custom_app.happened.clear()
    with serving(new_database, tmp_path / "a", role="worker", http=http) as worker:
        assert custom_app.happened == ["started"]
        assert worker.http.get("/hello").status_code == 404
        assert worker.http.get("/info").json()["version"]
    assert custom_app.happened == ["started", "ended"]


def test_a_role_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "MILLSTREAM_DATABASE": SHARED,
        "MILLSTREAM_LISTEN_DATABASE": SHARED,
        "MILLSTREAM_ROLE": "worker",
        "MILLSTREAM_REVISION": "2026-11",
    }
    config = load_config(None, "a.py:graph", environment=given)

    assert (config.role, config.revision, config.listen_database) == ("worker", "2026-11", SHARED)
    with pytest.raises(ConfigError, match="role is all or api or worker, not 'both'"):
        load_config(None, "a.py:graph", environment={**given, "MILLSTREAM_ROLE": "both"})


def test_servers_tell_of_each_other_in_numbers(new_database: str, tmp_path: Path) -> None:
    gate = Gate(3)
    way = Way(new_database)
    with ExitStack() as stack:
        stack.callback(way.close)
        cut_off = stack.enter_context(serving(way.address, tmp_path / "a", gate))
        at = thread(cut_off)
        run_id = start(cut_off, at, "steps", {})["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        other = stack.enter_context(serving(new_database, tmp_path / "b"))
        for server in (cut_off, other):
            assert waiting.until(lambda server=server: read(server)["millstream_replicas",] == 2)
        before = read(other)
        assert before["millstream_takeovers_total",] == 0
        way.is_shut = True
        way.cut()
        # Who is asked for something sends it elsewhere.
        assert waiting.until(lambda: cut_off.http.get("/readyz").status_code == 503)
        assert waiting.until(lambda: status(other, at, run_id) == "success")
        assert read(other)["millstream_takeovers_total",] == 1
        assert waiting.until(lambda: read(other)["millstream_replicas",] == 1)
        way.is_shut = False
        gate.is_open = True
        assert waiting.until(lambda: cut_off.http.get("/readyz").status_code == 200)
        assert waiting.until(lambda: not cut_off.service.scheduler.active)
        assert read(cut_off)["millstream_fenced_total",] <= 1
        assert waiting.until(lambda: len(known(other)) == 2)
        assert waiting.until(lambda: read(other)["millstream_replicas",] == 2)
        start(cut_off, at, "steps", {"seen": []})
        heard, rung = "millstream_rings_received_total", "millstream_rings_sent_total"
        assert waiting.until(lambda: read(cut_off)[rung,] > 1)
        assert waiting.until(lambda: read(other)[heard,] > before[heard,])
        # What labels say is of the server, and of nobody who uses it.
        told = other.http.get("/metrics").text + cut_off.http.get("/metrics").text
        for name in (at, run_id, own(other), own(cut_off)):
            assert name not in told


@pytest.mark.parametrize("is_resumable", [True, False])
def test_a_run_that_was_refused_here_is_counted_once(
    new_database: str, tmp_path: Path, *, is_resumable: bool
) -> None:
    """By its events, its superstep or its end, whichever is refused first."""
    gate = Gate(3)
    with serving(new_database, tmp_path / "a", gate, lease_seconds=30) as server:
        at = thread(server)
        run_id = start(server, at, "steps", {}, stream_resumable=is_resumable)["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        assert read(server)["millstream_fenced_total",] == 0
        with Address(new_database).connect() as other:
            taken = "UPDATE millstream.runs SET attempt = attempt + 1, holder = 'other'"
            other.execute(f"{taken} WHERE run_id = %s", [run_id])
        gate.is_open = True
        assert waiting.until(lambda: not server.service.scheduler.active)
        assert read(server)["millstream_fenced_total",] == 1


def test_the_first_of_several_servers_sweeps_for_all(new_database: str, tmp_path: Path) -> None:
    ttl = TtlConfig(default_ttl=1, sweep_interval_minutes=1)

    def config(name: str) -> ServerConfig:
        directory = tmp_path / name
        directory.mkdir()
        options: dict[str, Any] = {"checkpointer": CheckpointerConfig(ttl=ttl)}
        return config_of({}, directory, database=new_database, **options)

    async def main() -> None:
        clocks = [HandClock("2026-11-29T12:00:00+00:00") for _ in range(2)]
        async with (
            Service.open(config("a"), clocks[0]) as first,
            Service.open(config("b"), clocks[1]) as second,
        ):
            assert await waiting.auntil(lambda: bool(first.membership.others))
            assert [each.membership.is_first for each in (first, second)] == [True, False]
            made = {"ttl": 1, "strategy": "delete"}
            await first.db.write(threads.create, ID, metadata={}, ttl=made)

            def is_there(connection: Connection) -> bool:
                return threads.get(connection, ID) is not None

            for clock, service, left in (
                (clocks[1], second, True),
                (clocks[0], first, False),
            ):
                clock.advance(days=365)
                retention = service.retention
                assert await waiting.auntil(
                    lambda retention=retention, clock=clock: (
                        not retention.is_awake and clock.is_quiet
                    )
                )
                assert await first.db.read(is_there) is left

    asyncio.run(main())


def test_who_came_first_is_the_first_as_long_as_it_is_there() -> None:
    def member(id: str) -> Member:
        return Member(id, "", "", slots=1, is_over=False, is_connected=True)

    one = Membership()
    one.id = "b"

    assert one.is_first
    one.others = [member("c")]
    assert one.is_first
    one.others = [member("a"), member("c")]
    assert not one.is_first
