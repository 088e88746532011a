"""Runs are taken out of the queue, whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

import waiting
from millstream.server.doorbell.rings import Silence
from millstream.server.replicas.membership import Membership
from millstream.server.runs import starting
from millstream.server.runs.starting import Starting
from millstream.server.storage import queue
from millstream.server.storage.queue import Claimed
from server.fixtures import config_of, running
from server.streams import start, thread
from server.test_recovery import COUNT, Gate, ended

AWAY = OperationalError("", None, Exception("away"))


class Rows:
    """A database whose queue gives these, one after the other."""

    clock = SimpleNamespace(seconds=lambda: 0.0)

    def __init__(self, *claims: Claimed | Exception) -> None:
        self.claims = list(claims)
        self.asked = 0

    async def write(self, function: Any, *given: Any, **named: Any) -> Any:
        if function is queue.bring_due:
            return False
        self.asked += 1
        claim = self.claims.pop(0) if self.claims else Claimed(())
        if isinstance(claim, Exception):
            raise claim
        return claim

    async def read(self, function: Any) -> None:
        return None

    def may_pass(self, error: Exception) -> bool:
        return error is AWAY


def job(name: str) -> Any:
    return SimpleNamespace(run_id=name, priority=0)


class Here:
    """A replica that begins runs, and carries out none."""

    def __init__(self, rows: Any, slots: int = 2) -> None:
        self.active: dict[str, Any] = {}
        self.tasks: list[asyncio.Task[Any]] = []
        self.starting = Starting(
            rows, Membership(), Silence(), self.active, self.launch, self.spawn, slots=slots
        )

    def launch(self, job: Any) -> None:
        self.active[job.run_id] = job

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.ensure_future(coroutine))


def test_what_the_database_did_not_let_begin_is_begun_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(starting, "RETRY", 0.0)
    rows = Rows(AWAY, ZeroDivisionError("of ours"), Claimed([job("a")]))

    async def main() -> None:
        here = Here(rows)
        here.starting.start_more()
        assert await waiting.auntil(lambda: "a" in here.active)

    asyncio.run(main())
    told = [(record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert [has_trace for _, has_trace in told] == [False, True]
    assert all("runs that wait cannot be begun yet" in text for text, _ in told)


def test_a_run_that_is_asked_for_while_others_are_looked_for_begins_at_once() -> None:
    async def main() -> None:
        go = asyncio.Event()

        class Slow(Rows):
            async def write(self, function: Any, *given: Any, **named: Any) -> Any:
                await go.wait()
                return await super().write(function, *given, **named)

        here = Here(Slow(Claimed([job("a")]), Claimed([job("b")])), slots=2)
        here.starting.start_more()
        await asyncio.sleep(0)
        with here.starting.reserving() as has_slot:
            assert has_slot
            go.set()
            await asyncio.gather(*here.tasks)
            # Not more than there are slots.
            assert [*here.active] == ["a"]
        here.starting.start_more()
        await asyncio.gather(*here.tasks)
        assert [*here.active] == ["a", "b"]

    asyncio.run(main())


def test_however_many_pass_a_run_by_it_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PASSED_BY", 60.0)
    rows = Rows(*[Claimed((), has_passed=True)] * 5)

    async def main() -> None:
        here = Here(rows)
        for _ in range(5):
            here.starting.start_more()
            await asyncio.gather(*here.tasks)
        [timer] = here.starting._again.values()
        here.starting.close()
        assert timer.cancelled()

    asyncio.run(main())
    assert rows.asked == 5


@pytest.mark.usefixtures("in_files")
def test_a_run_that_comes_out_of_the_queue_while_the_server_ends_is_left_to_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = queue.claim
    with running(config_of(Gate(-1).graphs(), tmp_path)) as server:
        scheduler = server.service.scheduler
        here = scheduler._starting
        here.is_draining = True
        at = thread(server)
        run_id = start(server, at, "steps", {})["run_id"]
        here.is_draining = False
        begun = []

        def claim_late(*given: Any, **named: Any) -> Claimed:
            begun.append(True)
            assert waiting.until(lambda: scheduler._is_closing)
            return claim(*given, **named)

        monkeypatch.setattr(queue, "claim", claim_late)
        server.loop.call_soon_threadsafe(here.start_told)
        assert waiting.until(lambda: begun)
    monkeypatch.setattr(queue, "claim", claim)
    assert scheduler.active == 0
    with running(config_of(Gate(-1).graphs(), tmp_path)) as server:
        assert ended(server, at, run_id) == "success"
        values = server.http.get(f"/threads/{at}/state").json()["values"]
        assert values == {"seen": [*range(COUNT)]}
