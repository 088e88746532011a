"""What is said of a run is stored before what it tells of, or that is not stored either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import waiting
from millstream.server.log.run_log import Entry, RunLog
from millstream.server.log.storing import Storing
from millstream.server.runs.active import ActiveRun
from millstream.server.runs.wire_log import WireLog
from millstream.server.storage import attempts
from millstream.server.storage.attempts import TakenOverError
from server.fixtures import config_of, running
from server.streams import start, thread
from server.test_recovery import COUNT, Gate, ended


class Failing:
    """A database whose writes go wrong, one after the other; None is one that does not."""

    writes_in_order = True

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.stored: list[int] = []

    def write_soon(
        self,
        _: Callable[..., Any],
        run_id: str,
        attempt: int,
        entries: Sequence[Entry],
        *told: int,
    ) -> Future[None]:
        """Write, or not."""
        error = self.errors.pop(0) if self.errors else None
        if isinstance(error, RuntimeError) and not isinstance(error, TakenOverError):
            raise error
        done: Future[None] = Future()
        if error is None:
            self.stored.extend(entry.seq for entry in entries)
            done.set_result(None)
        else:
            done.set_exception(error)
        return done

    def may_pass(self, error: Exception) -> bool:
        """Say whether it may be tried again."""
        return isinstance(error, OSError)


async def said(db: Any) -> tuple[RunLog, list[str]]:
    """Return the log of a run that has said something, and whether it was given up."""
    log, given_up = RunLog("run", is_resumable=True), []
    storing = Storing(db, log, 1, lambda: given_up.append("given up"), lambda: None)
    storing.begin()
    log.append("custom", "custom", b"1")
    await storing.stored()
    await asyncio.to_thread(storing.wait)
    return log, given_up


def test_what_can_be_stored_the_second_time_is_no_fault() -> None:
    db = Failing(OSError("the server has gone"))
    log, given_up = asyncio.run(said(db))
    assert (db.stored, log.shown, given_up) == ([1], 1, [])


@pytest.mark.parametrize(
    "errors",
    [
        [OSError("the disk is full"), OSError("it still is")],
        [ValueError("the row is too large")],
        [RuntimeError("the database is closed")],
        [TakenOverError("run", 1)],
    ],
    ids=["passing", "final", "closed", "taken over"],
)
def test_who_stores_what_it_tells_of_is_told_that_it_is_not_stored(errors: list[Exception]) -> None:
    with pytest.raises(type(errors[-1]), match=str(errors[-1])):
        asyncio.run(said(Failing(*errors)))


def test_a_run_whose_events_cannot_be_stored_stores_nothing_that_they_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(3)
    append = attempts.append

    def refuse(connection: Any, run_id: str, attempt: int, entries: Any, *told: int) -> None:
        if gate.is_open:
            raise ValueError("too large")
        append(connection, run_id, attempt, entries, *told)

    monkeypatch.setattr(attempts, "append", refuse)
    with running(config_of(gate.graphs(), tmp_path)) as server:
        at = thread(server)
        more: dict[str, Any] = {"stream_resumable": True, "stream_mode": ["updates"]}
        run_id = start(server, at, "steps", {}, durability="sync", **more)["run_id"]
        assert waiting.until(lambda: gate.is_reached)
        gate.is_open = True
        assert ended(server, at, run_id) == "error"
        found = server.http.get(f"/threads/{at}/state").json()["values"]["seen"]
    assert found == [0, 1, 2]
    assert len(found) < COUNT


@pytest.mark.parametrize("why", [None, "interrupted", "lease_lost"])
def test_what_comes_behind_the_end_of_a_run_that_goes_on_elsewhere_is_not_stored(why: Any) -> None:
    """A task of a superstep that was cut off may be at its end: nobody is told of that here."""
    job: Any = SimpleNamespace(run_id="run", attempt=1, is_followed=False)
    db: Any = Failing()

    async def act() -> None:
        log = RunLog("run", is_resumable=True)
        active = ActiveRun(job, log)
        storing = Storing(db, log, 1, lambda: None, lambda: None)
        storing.begin()
        wire = WireLog(
            log, lambda item: log.append("custom", "custom", item), storing, (), active.refuse_late
        )
        wire.append(b"1")
        if why is not None:
            active.stop(why)
        await wire.aflush()
        wire.close()
        wire.append(b"2")
        if why == "lease_lost":
            with pytest.raises(TakenOverError):
                await wire.aflush()
            with pytest.raises(TakenOverError):
                wire.flush()
        else:
            await wire.aflush()
            wire.flush()

    asyncio.run(act())
    assert db.stored == [1]
