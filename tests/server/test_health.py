"""Whether a server is well: what `/livez` and `/readyz` tell those who look after it."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from millstream.server.health import KEPT, PATIENCE, STUCK, Health
from millstream.testing.clock import FakeClock, FakeTimeLoop
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

WELL = (200, {"ok": True})


class Database:
    """Counts what it is asked; answers, fails or says nothing."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def read(self, _: object) -> None:
        """Answer a reader."""
        await self._answer("read")

    async def write(self, _: object) -> None:
        """Answer who writes."""
        await self._answer("write")

    async def _answer(self, what: str) -> None:
        self.asked[what] += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error


class Loop:
    """A loop that comes round when it is told to."""

    def __init__(self) -> None:
        self.turns: list[Future[None]] = []

    def submit(self, coroutine: Any) -> Future[None]:
        """Promise to come round."""
        coroutine.close()
        self.turns.append(Future())
        return self.turns[-1]


class Watched:
    """A server's health, and all that it depends on."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.db = Database()
        self.loop = Loop()
        self.has_lease = True
        self.health = Health(
            self.db,  # type: ignore[arg-type]
            self.loop,  # type: ignore[arg-type]
            clock.monotonic,
            has_lease=lambda: self.has_lease,
        )


def watch(test: Any) -> None:
    """Run a test in time that passes as it is waited for."""
    clock = FakeClock()
    loop = FakeTimeLoop(clock)
    try:
        loop.run_until_complete(test(Watched(clock)))
    finally:
        loop.close()


def test_a_server_that_is_well_says_so_to_everybody(server: Running) -> None:
    for path in ("/livez", "/readyz"):
        response = server.http.get(path)

        assert (response.status_code, response.json()) == WELL


def test_who_is_to_end_is_not_ready_at_once_and_answers(tmp_path: Path) -> None:
    def ask(path: str) -> tuple[int, Any]:
        response = server.http.get(path)
        return response.status_code, response.json()

    with running(config_of(make_graphs(), tmp_path)) as server:
        assert ask("/readyz") == WELL
        future: Future[None] = Future()
        server.loop.call_soon_threadsafe(lambda: future.set_result(server.service.drain()))
        future.result()

        assert ask("/readyz") == (503, {"detail": "The server is ending"})
        assert ask("/livez") == WELL
        assert ask("/ok")[0] == 200
        assert server.http.post("/threads", json={}).status_code == 200


def test_the_database_is_asked_once_a_second_however_many_ask() -> None:
    async def test(watched: Watched) -> None:
        health = watched.health
        for second in range(1, 4):
            for _ in range(100):
                assert await asyncio.gather(*(health.unready() for _ in range(9))) == [None] * 9
            assert watched.db.asked == {"read": second, "write": second}
            watched.clock.seconds += KEPT

    watch(test)


def test_who_has_no_database_is_not_ready_until_it_has() -> None:
    async def test(watched: Watched) -> None:
        watched.db.error = OSError("the secret place of the database")
        assert await watched.health.unready() == "The database does not answer: OSError"
        watched.db.error = None
        watched.clock.seconds += KEPT
        assert await watched.health.unready() is None

    watch(test)


def test_who_others_may_have_taken_for_dead_is_not_ready() -> None:
    """It has a database, and no right to what it held."""

    async def test(watched: Watched) -> None:
        watched.has_lease = False
        fault = "The lease of the server is over: others may have taken it for dead"
        assert await watched.health.unready() == fault
        # A new process would have no other database.
        assert await watched.health.dead() is None
        watched.has_lease = True
        assert await watched.health.unready() is None

    watch(test)


def test_a_database_that_says_nothing_is_waited_for_only_so_long_and_asked_once() -> None:
    async def test(watched: Watched) -> None:
        watched.db.go.clear()
        fault = f"The database has not answered for {PATIENCE:g} s"
        for _ in range(3):
            began = watched.clock.seconds
            assert await watched.health.unready() == fault
            assert watched.clock.seconds - began == PATIENCE
        assert watched.db.asked == {"read": 1, "write": 1}
        watched.db.go.set()
        assert await watched.health.unready() is None
        watched.health.close()

    watch(test)


def test_who_begins_to_end_while_it_is_asked_is_not_ready() -> None:
    async def test(watched: Watched) -> None:
        watched.db.go.clear()
        asked = asyncio.ensure_future(watched.health.unready())
        await asyncio.sleep(0)
        watched.health.drain()
        watched.db.go.set()
        assert await asked == "The server is ending"

    watch(test)


def test_the_loop_of_the_graphs_is_asked_once_a_second_and_may_be_busy() -> None:
    async def test(watched: Watched) -> None:
        health, loop = watched.health, watched.loop
        for _ in range(100):
            assert await health.dead() is None
        assert len(loop.turns) == 1
        watched.clock.seconds += STUCK - 1
        assert await health.dead() is None
        loop.turns[0].set_result(None)
        assert await health.dead() is None
        assert len(loop.turns) == 2

    watch(test)


def test_a_loop_that_is_stuck_is_the_end_of_the_process() -> None:
    async def test(watched: Watched) -> None:
        health, loop = watched.health, watched.loop
        assert await health.dead() is None
        watched.clock.seconds += STUCK
        told = "The event loop of the graphs has not come round for 60 s"
        assert await health.dead() == told
        assert len(loop.turns) == 1
        # It was stopped as a whole, and goes on.
        asked = asyncio.ensure_future(health.dead())
        await asyncio.sleep(0)
        loop.turns[0].set_result(None)
        assert await asked is None

    watch(test)
