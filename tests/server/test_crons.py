"""Crons: when their runs begin, in which threads, and what becomes of those that were missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

import waiting
from millstream.server.application import app
from millstream.server.config import AuthConfig
from millstream.server.runs.turns import owner_of
from millstream.server.service import Service
from millstream.server.storage.tables import crons, runs, threads
from server.clocks import HandClock
from server.fixtures import Running, config_of
from server.graphs import make_graphs


class Served:
    """A server by its service, whose clock is set by hand, and a client of its application."""

    def __init__(self, service: Service, clock: HandClock, http: httpx.AsyncClient) -> None:
        self.service = service
        self.clock = clock
        self.http = http

    async def post(self, path: str, **body: Any) -> Any:
        """Send a request that succeeds."""
        response = await self.http.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def asleep(self) -> None:
        """Wait until all that is due has been done."""
        assert await waiting.auntil(lambda: self.is_asleep and not self.service.scheduler.active)

    @property
    def is_asleep(self) -> bool:
        """Whether all crons have begun that are due."""
        return not self.service.crons.is_awake and self.clock.is_quiet

    async def advance(self, **by: float) -> None:
        """Put the clock forward, and wait until what is due then has been done."""
        self.clock.advance(**by)
        await self.asleep()

    async def ran(self) -> list[Any]:
        """Return the runs there are, the oldest first."""

        def read(connection: Connection) -> list[Any]:
            return list(connection.execute(select(runs).order_by(runs.c.created_at)))

        return await self.service.db.read(read)


@asynccontextmanager
async def served(
    directory: Path, time: str = "2026-11-20T23:28:17+00:00", **options: Any
) -> AsyncIterator[Served]:
    """Give a server at a time of day."""
    config = config_of(make_graphs(), directory, **options)
    clock = HandClock(time)
    async with Service.open(config, clock) as service:
        application = app(config)
        application.state.service = service
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield Served(service, clock, http)


def run(directory: Path, script: Callable[[Served], Awaitable[None]]) -> None:
    """Run a script with a server."""

    async def main() -> None:
        async with served(directory) as server:
            await script(server)

    asyncio.run(main())


def test_a_cron_runs_each_time_it_is_due_in_a_thread_of_its_own(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        cron = await server.post(
            "/runs/crons", **SLOW, schedule="*/5 * * * *", on_run_completed="keep"
        )
        assert cron["next_run_date"] == "2026-11-20T23:30:00+00:00"
        await server.advance(seconds=60)
        assert await server.ran() == []
        await server.advance(minutes=1)
        await server.advance(minutes=5)
        ran = await server.ran()
        assert [row.status for row in ran] == ["success", "success"]
        assert len({row.thread_id for row in ran}) == 2
        assert [row.metadata["cron_id"] for row in ran] == [cron["cron_id"]] * 2
        assert ran[0].kwargs["config"]["configurable"]["cron_id"] == cron["cron_id"]
        thread = (await server.http.get(f"/threads/{ran[0].thread_id}")).json()
        assert thread["values"]["n"] == 1
        shown = (await server.http.get(f"/runs/crons/{cron['cron_id']}")).json()
        assert shown["next_run_date"] == "2026-11-20T23:40:00+00:00"

    run(tmp_path, script)


SLOW = {"assistant_id": "slow", "input": {"n": 1, "delay": 0}}


def test_what_a_cron_without_a_thread_has_run_is_deleted_unless_it_is_kept(tmp_path: Path) -> None:
    def count(connection: Connection) -> int:
        return len(connection.execute(select(threads.c.thread_id)).all())

    async def script(server: Served) -> None:
        for completed in (None, "delete"):
            wish = {"on_run_completed": completed}
            await server.post("/runs/crons", **SLOW, **wish, schedule="30 23 * * *")
        await server.advance(minutes=2)
        assert await server.ran() == []
        assert await server.service.db.read(count) == 0

    run(tmp_path, script)


def test_a_cron_of_a_thread_goes_on_with_it(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        thread = (await server.post("/threads"))["thread_id"]
        path = f"/threads/{thread}/runs/crons"
        cron = await server.post(path, **SLOW, schedule="* * * * *")
        assert cron["thread_id"] == thread
        await server.advance(minutes=1)
        await server.advance(minutes=1)
        assert [(row.thread_id, row.status) for row in await server.ran()] == [
            (thread, "success")
        ] * 2
        missing = await server.http.post(
            "/threads/00000000-0000-4000-8000-000000000000/runs/crons",
            json={**SLOW, "schedule": "* * * * *"},
        )
        assert missing.status_code == 404
        assert (await server.http.delete(f"/threads/{thread}")).status_code == 204
        assert (await server.http.get(f"/runs/crons/{cron['cron_id']}")).status_code == 404

    run(tmp_path, script)


def test_what_was_missed_while_the_server_was_down_runs_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as server:
            wish = {"on_run_completed": "keep"}
            await server.post("/runs/crons", **SLOW, **wish, schedule="*/5 * * * *")
            over = {"end_time": "2026-11-21T00:00:00Z"}
            await server.post("/runs/crons", **SLOW, **wish, **over, schedule="*/5 * * * *")
        async with served(tmp_path, "2026-11-22T10:01:00+00:00") as server:
            await server.asleep()
            assert [row.status for row in await server.ran()] == ["success"]
            crons = await server.post("/runs/crons/search", sort_order="asc")
            assert [cron["next_run_date"] for cron in crons] == ["2026-11-22T10:05:00+00:00", None]

    asyncio.run(main())


def test_a_change_counts_at_once_and_what_was_due_while_it_was_off_is_not_made_up_for(
    tmp_path: Path,
) -> None:
    async def script(server: Served) -> None:
        cron = await server.post(
            "/runs/crons", **SLOW, schedule="0 12 * * *", on_run_completed="keep"
        )
        path = f"/runs/crons/{cron['cron_id']}"

        async def patch(**changes: Any) -> Any:
            response = await server.http.patch(path, json=changes)
            assert response.status_code == 200, response.text
            return response.json()

        changed = await patch(schedule="*/10 * * * *", input={"n": 2, "delay": 0})
        assert changed["next_run_date"] == "2026-11-20T23:30:00+00:00"
        assert changed["payload"]["input"]["n"] == 2
        await server.advance(minutes=2)
        assert [row.kwargs["input"]["n"] for row in await server.ran()] == [2]
        await patch(enabled=False)
        await server.advance(hours=1)
        assert len(await server.ran()) == 1
        changed = await patch(enabled=True, timezone="Europe/Berlin", schedule="0 9 * * *")
        assert changed["next_run_date"] == "2026-11-21T08:00:00+00:00"
        await server.asleep()
        assert len(await server.ran()) == 1
        assert (await patch(end_time="2026-11-21T00:00:00Z"))["next_run_date"] is None
        assert (await patch(end_time=None))["next_run_date"] == "2026-11-21T08:00:00+00:00"
        assert (await server.http.delete(path)).status_code == 204
        await server.advance(days=2)
        assert len(await server.ran()) == 1
        assert (await server.http.patch(path, json={})).status_code == 404

    run(tmp_path, script)


def test_a_cron_that_cannot_run_is_left_out_once_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(server: Served) -> None:
        thread = (await server.post("/threads"))["thread_id"]
        path = f"/threads/{thread}/runs/crons"
        wish = {"schedule": "* * * * *", "multitask_strategy": "reject"}
        long = {"assistant_id": "slow", "input": {"n": 1, "delay": 600}}
        run_id = (await server.post(f"/threads/{thread}/runs", **long))["run_id"]
        await server.post(path, **SLOW, **wish)
        await server.post("/runs/crons", **SLOW, schedule="* * * * *", on_run_completed="keep")
        server.clock.advance(minutes=1)
        assert await waiting.auntil(
            lambda: server.is_asleep and server.service.scheduler.active == 1
        )
        assert [row.thread_id == thread for row in await server.ran()] == [True, False]
        crons = await server.post("/runs/crons/search")
        assert [cron["next_run_date"] for cron in crons] == ["2026-11-20T23:30:00+00:00"] * 2
        await server.http.post(f"/threads/{thread}/runs/{run_id}/cancel?wait=1")

    run(tmp_path, script)

    assert "cannot run, and is left out" in caplog.text


def test_a_cron_in_a_zone_that_the_machine_does_not_have_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def move(connection: Connection, cron_id: str) -> None:
        moved = crons.update().where(crons.c.cron_id == cron_id).values(timezone="Moon/Tycho")
        connection.execute(moved)

    async def script(server: Served) -> None:
        wish = {"schedule": "* * * * *", "on_run_completed": "keep"}
        lost = await server.post("/runs/crons", **SLOW, **wish, timezone="Europe/Berlin")
        await server.service.db.write(move, lost["cron_id"])
        await server.post("/runs/crons", **SLOW, **wish)
        for _ in range(2):
            await server.advance(minutes=1)
        assert len(await server.ran()) == 2
        dates = {each["next_run_date"] for each in await server.post("/runs/crons/search")}
        assert dates == {"2026-11-21T00:29:17+00:00", "2026-11-20T23:31:00+00:00"}

    run(tmp_path, script)

    assert "is put off by an hour: Invalid timezone: 'Moon/Tycho'" in caplog.text


@pytest.mark.usefixtures("in_files")
def test_nobody_looks_at_the_database_while_nothing_is_due(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        await server.asleep()
        looked = []
        read = server.service.db.read

        async def counted(*args: Any, **named: Any) -> Any:
            looked.append(args[0])
            return await read(*args, **named)

        server.service.db.read = counted  # type: ignore[method-assign]
        await server.advance(days=300)
        assert looked == []

    run(tmp_path, script)


def test_a_cron_of_an_assistant_ends_with_it(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        assistant = (await server.post("/assistants", graph_id="slow"))["assistant_id"]
        wish = {"assistant_id": assistant, "schedule": "* * * * *"}
        await server.post("/runs/crons", **wish)
        assert await server.post("/runs/crons/count", assistant_id=assistant) == 1
        await server.http.delete(f"/assistants/{assistant}")
        assert await server.post("/runs/crons/count") == 0
        unknown = await server.http.post("/runs/crons", json=wish)
        assert unknown.status_code == 404

    run(tmp_path, script)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"schedule": "nope"}, "Invalid cron schedule: 'nope'"),
        ({"schedule": "* * * * * *"}, "Invalid cron schedule"),
        ({"timezone": "Mars/Olympus"}, "Invalid timezone: 'Mars/Olympus'"),
        ({"end_time": "soon"}, "Invalid end_time: 'soon'"),
        ({"assistant_id": "nobody"}, "Invalid assistant: 'nobody'"),
        ({"on_run_completed": "burn"}, "on_run_completed"),
        ({"config": {"recursion_limit": 0}}, "recursion_limit"),
    ],
)
def test_a_cron_that_cannot_be_is_refused_when_it_is_made(
    server: Running, wrong: dict[str, Any], said: str
) -> None:
    before = server.http.post("/runs/crons/count", json={}).json()
    body = {"assistant_id": "slow", "schedule": "* * * * *", **wrong}

    response = server.http.post("/runs/crons", json=body)

    assert response.status_code == 422
    assert said in response.json()["detail"]
    assert server.http.post("/runs/crons/count", json={}).json() == before


def test_a_cron_may_have_a_context(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        wish = {"context": {"a": 1}, "on_run_completed": "keep"}
        await server.post("/runs/crons", **SLOW, **wish, schedule="* * * * *")
        await server.advance(minutes=1)
        assert [row.kwargs["context"] for row in await server.ran()] == [{"a": 1}]

    run(tmp_path, script)


def test_what_a_cron_runs_is_as_urgent_as_the_cron_says(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        wish = {**SLOW, "on_run_completed": "keep"}
        cron = await server.post("/runs/crons", **wish, schedule="* * * * *", priority=4)
        await server.advance(minutes=1)
        path = f"/runs/crons/{cron['cron_id']}"
        assert (await server.http.patch(path, json={"priority": -1})).status_code == 200
        await server.advance(minutes=1)
        assert [row.priority for row in await server.ran()] == [4, -1]
        refused = await server.http.patch(path, json={"priority": 6})
        assert refused.status_code == 422

    run(tmp_path, script)


def test_what_a_cron_runs_belongs_to_who_has_made_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, auth=AuthConfig(path="server.handlers:owners")) as server:
            server.http.headers["authorization"] = "Bearer alice"
            cron = await server.post(
                "/runs/crons", **SLOW, schedule="* * * * *", on_run_completed="keep"
            )
            assert (cron["user_id"], cron["metadata"]) == ("alice", {"owner": "alice"})
            await server.advance(minutes=1)
            (ran,) = await server.ran()
            assert ran.kwargs["config"]["configurable"]["langgraph_auth_user_id"] == "alice"
            assert ran.owner == owner_of("alice")
            path = f"/threads/{ran.thread_id}"
            assert (await server.http.get(path)).json()["metadata"]["owner"] == "alice"
            server.http.headers["authorization"] = "Bearer bob"
            assert (await server.http.get(path)).status_code == 404
            assert await server.post("/runs/crons/search") == []

    asyncio.run(main())
