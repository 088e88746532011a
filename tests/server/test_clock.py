"""The time of day: the database's, whatever the clocks of servers show."""

from __future__ import annotations

import ast
import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

import millstream.server
import waiting
from millstream.server import service
from millstream.server.clock import CORRECTIONS, Clock, stamp
from millstream.server.log.event_ids import EventId, parse_id
from millstream.server.storage import events, threads
from millstream.server.storage.database import Database
from millstream.server.storage.tables import crons, run_events, runs
from millstream.server.storage.times import moment, ms_of, now, stamp_of
from server.fixtures import Running, config_of, running
from server.streams import parse, start, thread
from server.test_recovery import COUNT, Gate, ended
from server.ways import Way

AWAY = 600.0
"""Seconds by which the clock of a server is wrong."""
READS_THE_CLOCK = {
    "clock.py": "it is the clock",
    "sleeping.py": "answers have the date of the machine that sends them",
    "storage/backup.py": "a program of its own, which notes for people when it was",
}


class Shown:
    """Clocks of a process whose hands are put by a test."""

    def __init__(self, own: float = 5000.0, steady: float = 100.0) -> None:
        self.own = own
        self.at = steady
        self.clock = Clock(lambda: self.own, lambda: self.at)

    def ask(self, told: float, takes: float = 0.0) -> None:
        """Have a database tell the time, which takes so long."""
        asked_at, self.at = self.at, self.at + takes
        self.clock.note(told, asked_at)

    def advance(self, seconds: float) -> None:
        self.at += seconds


def test_a_clock_that_no_database_has_told_anything_is_that_of_the_process() -> None:
    shown = Shown()
    assert shown.clock.seconds() == 5000.0
    shown.own = 4000.0
    assert shown.clock.ms() == 4_000_000
    assert shown.clock.now() == datetime.fromtimestamp(4000, timezone.utc)


def test_what_a_database_tells_counts_and_goes_on_without_a_look_at_the_own_clock() -> None:
    shown = Shown()
    shown.ask(9000.0, takes=2.0)
    # It may be two seconds later there by now, and is not earlier.
    assert shown.clock.seconds() == 9000.0
    shown.own = 0.0
    shown.advance(5.0)
    assert shown.clock.seconds() == 9005.0


def test_of_several_answers_the_narrowest_counts() -> None:
    shown = Shown()
    shown.ask(9000.0, takes=2.0)
    shown.ask(9002.5, takes=0.5)
    assert shown.clock.seconds() == 9002.5
    # Took long, and says nothing that was not known.
    shown.ask(9003.0, takes=60.0)
    assert shown.clock.seconds() == 9062.5


def test_a_clock_stands_where_it_was_a_little_ahead_and_follows_one_that_was_set_back() -> None:
    shown = Shown()
    shown.ask(9000.0)
    assert shown.clock.seconds() == 9000.0
    shown.ask(9000.0 - CORRECTIONS / 2)
    assert shown.clock.seconds() == 9000.0
    shown.advance(CORRECTIONS)
    assert shown.clock.seconds() == 9000.0 + CORRECTIONS / 2
    shown.ask(8000.0)
    assert shown.clock.seconds() == 8000.0
    shown.ask(20_000.0)
    assert shown.clock.seconds() == 20_000.0


def test_nobody_sleeps_for_so_long_that_a_clock_that_was_set_goes_unnoticed() -> None:
    shown = Shown()
    assert shown.clock.until(datetime.fromtimestamp(5003, timezone.utc)) == 3.0
    assert shown.clock.until(datetime.fromtimestamp(90_000, timezone.utc)) == 60.0


@pytest.mark.parametrize("ms", [0, 1, 999, 1764444444123, 1764444444999, 253402300799999])
def test_milliseconds_come_back_as_they_were(ms: int) -> None:
    assert ms_of(stamp_of(ms)) == ms


def test_nothing_in_the_server_looks_at_the_clock_of_the_process() -> None:
    root = Path(millstream.server.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if any(_is_clock(node) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == READS_THE_CLOCK.keys()


def _is_clock(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "time":
        return any(name.name in ("time", "time_ns") for name in node.names)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return (node.value.id, node.attr) in {
            ("time", "time"),
            ("time", "time_ns"),
            ("datetime", "now"),
            ("datetime", "utcnow"),
            ("date", "today"),
        }
    return False


def test_a_transaction_that_writes_has_the_time_of_the_database(db: Database) -> None:
    shown = Shown()
    if db.engine.dialect.name == "sqlite":
        return

    def look(connection: Connection) -> tuple[datetime, datetime]:
        told = connection.exec_driver_sql("SELECT transaction_timestamp()").scalar_one()
        return moment(connection), told

    first, told = asyncio.run(db.write(look))
    assert abs(first - told) < timedelta(seconds=1)
    assert asyncio.run(db.write(now)) > stamp(first)
    # One that reads has what was told last, and what has passed since.
    assert shown.clock.seconds() == 5000.0
    assert asyncio.run(db.read(now)) > stamp(first)


# -- a file --------------------------------------------------------------------------------------


def id_of(text: str | None) -> EventId:
    assert text is not None
    return parse_id(text)


def ids_at(server: Running, at: str, run_id: str) -> list[EventId]:
    """Return the ids of the events of a run, as whoever comes later gets them."""
    path = f"/threads/{at}/runs/{run_id}/stream"
    text = server.http.get(path, headers={"last-event-id": "-1"}).text
    return [id_of(event.id) for event in parse(text) if event.id is not None]


def run_in(server: Running, at: str, **body: Any) -> str:
    """Have a run carried out, and return its id."""
    asked = {"stream_resumable": True, "stream_mode": ["values"], **body}
    run_id: str = start(server, at, "steps", {"seen": []}, **asked)["run_id"]
    assert ended(server, at, run_id) == "success"
    return run_id


def test_ids_of_a_thread_rise_when_the_clock_of_its_server_is_set_back(tmp_path: Path) -> None:
    day = {"ahead": AWAY}
    clock = Clock(lambda: time.time() + day["ahead"])
    gate = Gate(-1)
    said: list[EventId] = []
    with running(config_of(gate.graphs(), tmp_path), clock) as server:
        at = thread(server)
        said += ids_at(server, at, run_in(server, at))
        day["ahead"] = 0.0
        said += ids_at(server, at, run_in(server, at))
        state = {"values": {"seen": [7]}, "as_node": "step"}
        assert server.http.post(f"/threads/{at}/state", json=state).status_code == 200
    day["ahead"] = -AWAY
    with running(config_of(gate.graphs(), tmp_path), clock) as server:
        said += ids_at(server, at, run_in(server, at))
        page = asyncio.run(server.service.db.read(events.read_thread, at, (0, 0), 1000))
        assert [entry.id for _, entry in page] == said
    assert said == sorted(set(said))


# -- servers whose clocks differ -----------------------------------------------------------------


@contextmanager
def serving(
    address: str, directory: Path, away: float, gate: Gate | None = None, **options: Any
) -> Iterator[Running]:
    """Serve with a clock that is wrong by some seconds."""
    directory.mkdir(exist_ok=True)
    options = {"lease_seconds": 30, "database": address, **options}
    config = config_of((gate or Gate(-1)).graphs(), directory, **options)
    with running(config, Clock(lambda: time.time() + away)) as server:
        yield server


def times_of(server: Running, run_id: str) -> Any:
    """Return the times of a run, and who has it."""

    def read(connection: Connection) -> Any:
        query = select(
            runs.c.created_at, runs.c.start_at, runs.c.started_at, runs.c.ended_at, runs.c.holder
        )
        return connection.execute(query.where(runs.c.run_id == run_id)).one()

    return asyncio.run(server.service.db.read(read))


def is_now(server: Running, text: str) -> bool:
    """Say whether a time is about that of the database."""
    away = datetime.fromisoformat(text) - server.service.db.clock.now()
    return abs(away.total_seconds()) < AWAY / 2


def test_what_servers_say_in_a_thread_is_in_order_whatever_their_clocks_show(
    new_database: str, tmp_path: Path
) -> None:
    gate = Gate(-1)
    with (
        serving(new_database, tmp_path / "a", AWAY, gate) as ahead,
        serving(new_database, tmp_path / "b", -AWAY, gate) as behind,
    ):
        at = thread(ahead)
        made = []
        said: list[EventId] = []
        for server in (ahead, behind, ahead, behind):
            run_id = run_in(server, at)
            assert times_of(server, run_id).holder == server.service.scheduler._membership.id
            made.append(run_id)
            # Whoever is asked later, the other one is.
            other = behind if server is ahead else ahead
            said += ids_at(other, at, run_id)
        assert said == sorted(set(said))
        times = [times_of(ahead, run_id) for run_id in made]
        passed = [time for each in times for time in (each.created_at, each.ended_at)]
        assert passed == sorted(passed)
        assert all(is_now(ahead, time) and is_now(behind, time) for time in passed)
        history = ahead.http.get(f"/threads/{at}/history?limit=100").json()
        created = [state["created_at"] for state in reversed(history)]
        assert created == sorted(created)
        assert is_now(ahead, created[0])
        # As they come, the newest first.
        listed = behind.http.get(f"/threads/{at}/runs").json()
        assert [run["run_id"] for run in listed] == made[::-1]


def test_protocol_events_of_a_thread_are_numbered_on_by_whichever_server(
    new_database: str, tmp_path: Path
) -> None:
    with (
        serving(new_database, tmp_path / "a", AWAY) as ahead,
        serving(new_database, tmp_path / "b", -AWAY) as behind,
    ):
        at = thread(ahead)
        for server in (ahead, behind, ahead):
            sent = {
                "id": 1,
                "method": "run.start",
                "params": {"assistant_id": "steps", "input": {"seen": []}},
            }
            answer = server.http.post(f"/threads/{at}/commands", json=sent).json()
            assert ended(server, at, answer["result"]["run_id"]) == "success"

        def frames(connection: Connection) -> list[bytes]:
            stored = events.read_protocol(connection, at, (0, 0), 1000)
            return [entry.frame for _, entry in stored]

        told = [parse(frame.decode())[0] for frame in asyncio.run(ahead.service.db.read(frames))]
        numbers = [event.data["seq"] for event in told]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert all(is_now(behind, stamp_of(event.data["params"]["timestamp"])) for event in told)


def test_what_was_put_off_begins_when_it_is_time_in_the_database(
    new_database: str, tmp_path: Path
) -> None:
    with (
        serving(new_database, tmp_path / "a", AWAY) as ahead,
        serving(new_database, tmp_path / "b", -AWAY) as behind,
    ):
        for server in (ahead, behind):
            at = thread(server)
            soon = start(server, at, "steps", {}, after_seconds=1)["run_id"]
            late = start(server, thread(server), "steps", {}, after_seconds=AWAY / 2)["run_id"]
            assert waiting.until(lambda soon=soon: times_of(ahead, soon).ended_at is not None)
            times = times_of(ahead, soon)
            assert times.started_at >= stamp(
                datetime.fromisoformat(times.created_at) + timedelta(seconds=1)
            )
            assert times_of(ahead, late).started_at is None
            waits = server.http.get("/metrics?format=json").json()["queue"]
            assert waits["n_pending"] == 0


def test_a_cron_is_due_once_at_the_time_of_the_database(new_database: str, tmp_path: Path) -> None:
    with (
        serving(new_database, tmp_path / "a", AWAY) as ahead,
        serving(new_database, tmp_path / "b", -AWAY) as behind,
    ):
        made = {}
        for server, minutes in ((ahead, 0), (behind, 0), (ahead, 5), (behind, 5)):
            at = thread(server)
            asked = {"assistant_id": "steps", "schedule": "0 0 1 1 *", "input": {}}
            cron = server.http.post(f"/threads/{at}/runs/crons", json=asked).json()
            assert is_now(server, cron["created_at"])
            made[cron["cron_id"]] = (at, minutes)

        def bring_near(connection: Connection) -> None:
            for cron_id, (_, minutes) in made.items():
                due = moment(connection) + timedelta(minutes=minutes)
                connection.execute(
                    update(crons).where(crons.c.cron_id == cron_id).values(next_run_date=stamp(due))
                )

        asyncio.run(ahead.service.db.write(bring_near))
        for server in (ahead, behind):
            server.loop.call_soon_threadsafe(server.service.crons.wake)
        for at, minutes in made.values():
            path = f"/threads/{at}/runs"
            if not minutes:
                assert waiting.until(
                    lambda path=path: (
                        [run["status"] for run in ahead.http.get(path).json()] == ["success"]
                    )
                )
        for server in (ahead, behind):
            assert waiting.until(lambda server=server: not server.service.crons.is_awake)
        counts = {at: len(ahead.http.get(f"/threads/{at}/runs").json()) for at, _ in made.values()}
        assert counts == {at: 0 if minutes else 1 for at, minutes in made.values()}


def test_a_cron_of_which_another_server_was_told_is_due_when_that_one_is_gone(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LEFT", 0.2)
    with serving(new_database, tmp_path / "a", 0.0) as here:
        at = thread(here)
        assert waiting.until(lambda: not here.service.crons.is_awake)
        with serving(new_database, tmp_path / "b", 0.0, role="api") as told:
            asked = {"assistant_id": "steps", "schedule": "0 0 1 1 *", "input": {}}
            told.http.post(f"/threads/{at}/runs/crons", json=asked).raise_for_status()

        def bring_near(connection: Connection) -> None:
            connection.execute(update(crons).values(next_run_date=stamp(moment(connection))))

        asyncio.run(here.service.db.write(bring_near))
        assert waiting.until(
            lambda: (
                [run["status"] for run in here.http.get(f"/threads/{at}/runs").json()]
                == ["success"]
            )
        )


def test_what_runs_have_said_is_kept_by_the_time_of_the_database(
    new_database: str, tmp_path: Path
) -> None:
    options = {"event_retention_seconds": AWAY / 2}
    with (
        serving(new_database, tmp_path / "a", AWAY, **options) as ahead,
        serving(new_database, tmp_path / "b", -AWAY, **options) as behind,
    ):
        at = thread(ahead)
        first, second = run_in(ahead, at), run_in(behind, at)

        def forget() -> None:
            for server in (ahead, behind):
                forgetting = server.service.scheduler._forgetting._forget()
                asyncio.run_coroutine_threadsafe(forgetting, server.loop).result(30)

        forget()
        assert ids_at(behind, at, first)
        assert ids_at(ahead, at, second)

        def age(connection: Connection) -> None:
            old = stamp(moment(connection) - timedelta(seconds=AWAY))
            connection.execute(update(runs).where(runs.c.run_id == first).values(ended_at=old))

        asyncio.run(ahead.service.db.write(age))
        forget()

        def left(connection: Connection) -> set[str]:
            return set(connection.scalars(select(run_events.c.run_id)))

        assert asyncio.run(ahead.service.db.read(left)) == {second}


def test_threads_live_as_long_as_they_are_to_by_the_time_of_the_database(
    new_database: str, tmp_path: Path
) -> None:
    with (
        serving(new_database, tmp_path / "a", AWAY) as ahead,
        serving(new_database, tmp_path / "b", -AWAY) as behind,
    ):
        ttl = {"strategy": "delete", "ttl": AWAY / 60 / 2}
        made = [thread(server, ttl=ttl) for server in (ahead, behind)]

        def sweep() -> None:
            for server in (ahead, behind):
                seen_to = server.service.retention.do()
                asyncio.run_coroutine_threadsafe(seen_to, server.loop).result(30)

        sweep()
        for at in made:
            assert ahead.http.get(f"/threads/{at}").status_code == 200

        def age(connection: Connection) -> None:
            old = moment(connection) - timedelta(seconds=AWAY)
            for at in made:
                columns = {"updated_at": stamp(old), "expires_at": stamp(old)}
                table = threads.threads
                connection.execute(table.update().where(table.c.thread_id == at).values(**columns))

        asyncio.run(ahead.service.db.write(age))
        sweep()
        assert [ahead.http.get(f"/threads/{at}").status_code for at in made] == [404, 404]


@pytest.mark.real_time(reason="leases end by the clock of the database")
@pytest.mark.usefixtures("impatient")
def test_a_run_is_taken_over_by_a_server_whose_clock_is_behind(
    new_database: str, tmp_path: Path
) -> None:
    gate = Gate(3)
    way = Way(new_database)
    try:
        with ExitStack() as stack:
            ahead = stack.enter_context(serving(way.address, tmp_path / "a", AWAY, gate))
            at = thread(ahead)
            asked = {"stream_resumable": True, "stream_mode": ["values"]}
            run_id = start(ahead, at, "steps", {"seen": []}, **asked)["run_id"]
            assert waiting.until(lambda: gate.is_reached)
            behind = stack.enter_context(serving(new_database, tmp_path / "b", -AWAY))
            way.is_shut = True
            way.cut()
            path = f"/threads/{at}/runs/{run_id}"
            assert waiting.until(lambda: behind.http.get(path).json()["status"] == "success")
            way.is_shut = False
            gate.is_open = True
            said = ids_at(behind, at, run_id)
            assert said == sorted(set(said))
            text = behind.http.get(f"{path}/stream", headers={"last-event-id": "-1"}).text
            seen = [event.data["seen"] for event in parse(text) if event.name == "values"]
            assert seen == [list(range(count)) for count in range(COUNT + 1)]
            assert waiting.until(lambda: not ahead.service.scheduler.active)
    finally:
        way.close()
