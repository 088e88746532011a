"""What becomes of threads and of what is stored that nobody touches any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph.store.sqlite.aio import AsyncSqliteStore

import waiting
from millstream.server.application import app
from millstream.server.config import (
    CheckpointerConfig,
    ServerConfig,
    StoreConfig,
    TtlConfig,
)
from millstream.server.errors import ConfigError
from millstream.server.service import Service
from server.clocks import HandClock
from server.fixtures import config_of
from server.graphs import make_graphs

SLOW = {"assistant_id": "slow", "input": {"n": 2, "delay": 0}}


class Served:
    """A server whose clock is set by hand, and a client of its application."""

    def __init__(self, service: Service, clock: HandClock, http: httpx.AsyncClient) -> None:
        self.service = service
        self.clock = clock
        self.http = http

    async def thread(self, **body: Any) -> str:
        """Make a thread, and run something on it."""
        thread_id: str = (await self.http.post("/threads", json=body)).json()["thread_id"]
        run = await self.http.post(f"/threads/{thread_id}/runs/wait", json=SLOW)
        assert run.status_code == 200, run.text
        return thread_id

    async def advance(self, **by: float) -> None:
        """Put the clock forward, and wait until what is over then has been seen to."""
        self.clock.advance(**by)
        retention = self.service.retention
        assert await waiting.auntil(lambda: not retention.is_awake and self.clock.is_quiet)

    async def count(self, thread_id: str) -> int | None:
        """Return how many checkpoints a thread has; None if it is gone."""
        response = await self.http.post(f"/threads/{thread_id}/history", json={"limit": 100})
        return None if response.status_code == 404 else len(response.json())


@asynccontextmanager
async def served(directory: Path, **options: Any) -> AsyncIterator[Served]:
    """Give a server."""
    config = config_of(make_graphs(), directory, **options)
    # Threads have the time of day of when they were touched.
    clock = HandClock(datetime.now(timezone.utc).isoformat())
    async with Service.open(config, clock) as service:
        application = app(config)
        application.state.service = service
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            server = Served(service, clock, http)
            await server.advance()
            yield server


def run(script: Callable[[Served], Awaitable[None]], directory: Path, **options: Any) -> None:
    """Run a script with a server."""

    async def main() -> None:
        async with served(directory, **options) as server:
            await script(server)

    asyncio.run(main())


def test_a_thread_that_nobody_touches_is_deleted_or_left_with_its_newest_checkpoint(
    tmp_path: Path,
) -> None:
    async def script(server: Served) -> None:
        for_ever = await server.thread()
        deleted = await server.thread(ttl={"ttl": 60})
        kept = await server.thread(ttl={"ttl": 60, "strategy": "keep_latest"})
        full = await server.count(for_ever)
        state = (await server.http.get(f"/threads/{kept}/state")).json()
        assert (full or 0) > 1
        await server.advance(minutes=50)
        assert [await server.count(id) for id in (deleted, kept)] == [full, full]
        await server.advance(minutes=20)
        assert await server.count(deleted) is None
        assert await server.count(kept) == 1
        assert (await server.http.get(f"/threads/{kept}/state")).json()["values"] == state["values"]
        assert await server.count(for_ever) == full
        saver = server.service.journal
        config = {"configurable": {"thread_id": deleted}}
        assert await server.service.run_loop.call(saver.aget_tuple(config)) is None
        # It goes on living, and is made smaller again.
        await server.http.post(f"/threads/{kept}/runs/wait", json=SLOW)
        await server.advance(minutes=120)
        assert await server.count(kept) == 1

    run(script, tmp_path)


def test_who_touches_a_thread_puts_its_end_off(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        thread = await server.thread(ttl={"ttl": 60})
        path = f"/threads/{thread}"
        told = (await server.http.get(path, params={"include": "ttl"})).json()
        # As if it had been made an hour ago.
        begin = server.clock.now() - timedelta(hours=1)

        def age(connection: Any) -> None:
            from millstream.server.storage.tables import threads

            connection.execute(threads.update().values(expires_at=begin.isoformat()))

        await server.service.db.write(age)
        await server.advance(minutes=6)
        again = (await server.http.get(path, params={"include": "ttl"})).json()
        assert again["ttl"] == told["ttl"]
        assert again["ttl"]["strategy"] == "delete"
        updated = datetime.fromisoformat(again["updated_at"])
        assert datetime.fromisoformat(again["ttl"]["expires_at"]) == updated + timedelta(hours=1)

    run(script, tmp_path)


def test_a_thread_on_which_something_runs_is_not_over(tmp_path: Path) -> None:
    async def script(server: Served) -> None:
        thread = await server.thread(ttl={"ttl": 1})
        long = {"assistant_id": "slow", "input": {"n": 1, "delay": 600}}
        made = (await server.http.post(f"/threads/{thread}/runs", json=long)).json()
        await server.advance(hours=5)
        path = f"/threads/{thread}/runs/{made['run_id']}"
        assert (await server.http.get(path)).json()["status"] in ("pending", "running")
        await server.http.post(f"{path}/cancel", params={"wait": 1})
        await server.advance(hours=5)
        assert await server.count(thread) is None

    run(script, tmp_path)


def test_threads_get_the_ttl_of_the_configuration_however_they_are_made(tmp_path: Path) -> None:
    ttl = TtlConfig(default_ttl=30, strategy="keep_latest", sweep_interval_minutes=1)

    async def script(server: Served) -> None:
        new = "11111111-1111-4111-8111-111111111111"
        run_in = {**SLOW, "if_not_exists": "create"}
        await server.http.post(f"/threads/{new}/runs/wait", json=run_in)
        await server.http.post("/runs/wait", json={**SLOW, "on_completion": "keep"})
        made = (await server.http.post("/threads", json={})).json()["thread_id"]
        own = (await server.http.post("/threads", json={"ttl": {"ttl": 5}})).json()["thread_id"]
        found = (await server.http.post("/threads/search", json={})).json()
        assert len(found) == 4
        for thread in found:
            path = f"/threads/{thread['thread_id']}"
            told = (await server.http.get(path, params={"include": "ttl"})).json()["ttl"]
            expected = ("delete", 5) if thread["thread_id"] == own else ("keep_latest", 30)
            assert (told["strategy"], told["ttl_minutes"]) == expected
        assert made in {thread["thread_id"] for thread in found}

    run(script, tmp_path, checkpointer=CheckpointerConfig(ttl=ttl))


def test_a_sweep_sees_to_no_more_threads_than_its_limit(tmp_path: Path) -> None:
    ttl = TtlConfig(default_ttl=10, sweep_interval_minutes=1, sweep_limit=2)

    async def script(server: Served) -> None:
        for _ in range(3):
            await server.http.post("/threads", json={})
        await server.advance(minutes=11)
        assert (await server.http.post("/threads/count", json={})).json() == 1
        await server.advance(minutes=1)
        assert (await server.http.post("/threads/count", json={})).json() == 0

    run(script, tmp_path, checkpointer=CheckpointerConfig(ttl=ttl))


def test_a_thread_that_cannot_be_removed_keeps_no_other_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(server: Served) -> None:
        first = await server.thread(ttl={"ttl": 1})
        second = await server.thread(ttl={"ttl": 1})
        delete = server.service.journal.adelete_thread

        async def refuse(thread_id: str) -> None:
            if thread_id == first:
                raise OSError("disk is gone")
            await delete(thread_id)

        monkeypatch.setattr(server.service.journal, "adelete_thread", refuse)
        await server.advance(minutes=10)
        assert await server.count(second) is None
        assert await server.count(first)
        monkeypatch.undo()
        await server.advance(minutes=10)
        assert await server.count(first) is None

    run(script, tmp_path)

    assert "cannot be removed" in caplog.text


async def change_times(store: Any, statement: str) -> None:
    """Carry out a statement in a store, in which `{before}` is a minute ago."""
    if isinstance(store, AsyncSqliteStore):
        await store.conn.execute(statement.format(before="DATETIME('now', '-1 minutes')"))
        return
    async with store.conn.connection() as connection:
        await connection.execute(statement.format(before="now() - interval '1 minute'"))


# The package's store gives sqlite3 a datetime as it is.
@pytest.mark.filterwarnings("ignore:The default datetime adapter:DeprecationWarning")
def test_what_is_in_the_store_is_forgotten_after_its_ttl_unless_it_is_read(tmp_path: Path) -> None:
    ttl = TtlConfig(default_ttl=60, sweep_interval_minutes=1)

    async def script(server: Served) -> None:
        shared: Any = server.service.store
        store = shared._store
        for key in ("a", "b", "c"):
            item = {"namespace": ["x"], "key": key, "value": {"n": 1}}
            await server.http.put("/store/items", json=item)

        # Its clock is that of its database.
        update = "UPDATE store SET expires_at = {before} WHERE key <> 'a'"
        await server.service.run_loop.call(change_times(store, update))
        for key, refresh in (("b", "true"), ("c", "false")):
            query = {"namespace": "x", "key": key, "refresh_ttl": refresh}
            assert (await server.http.get("/store/items", params=query)).json() is not None
        await server.service.run_loop.call(store.sweep_ttl())
        found = (await server.http.post("/store/items/search", json={})).json()["items"]
        assert sorted(item["key"] for item in found) == ["a", "b"]
        assert not store._ttl_sweeper_task.done()

    run(script, tmp_path, store=StoreConfig(ttl=ttl))


@pytest.mark.parametrize(
    ("ttl", "said"),
    [
        (TtlConfig(strategy="burn"), "checkpointer.ttl.strategy is 'delete' or 'keep_latest'"),
        (TtlConfig(default_ttl=0), "checkpointer.ttl.default_ttl is a number above 0, not 0"),
        (TtlConfig(sweep_interval_minutes=-1), "sweep_interval_minutes is a number above 0"),
    ],
)
def test_a_ttl_that_cannot_be_is_refused(ttl: TtlConfig, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServerConfig(checkpointer=CheckpointerConfig(ttl=ttl))
