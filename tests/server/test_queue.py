"""Which run is next: the decisions, and that the database agrees with them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from millstream.server.graphs import assistant_of
from millstream.server.runs.requests import NewRun
from millstream.server.runs.turns import (
    GOES_ON,
    LEAST_URGENT,
    MOST_URGENT,
    NOBODY,
    PATIENCE,
    Waiting,
    choose,
    owner_of,
    turn_of,
    urgency,
)
from millstream.server.storage import assistants, queue, replicas, run_statements, runs
from millstream.server.storage.database import Database
from millstream.server.storage.migrations.versions import _0008_turns
from millstream.server.storage.queue import Claimed
from millstream.server.storage.run_records import End, Holder, Job
from millstream.server.storage.sqlite import SqliteDatabase
from millstream.server.storage.tables import runs as table
from server.databases import new_postgres

ASSISTANT = assistant_of("g")
ME = Holder("me")


class Line:
    """Those that wait with one priority, as rows would have them."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int, str]] = []
        self.came = 0

    def enter(self, owner: str) -> None:
        own = [turn for turn, _, other in self.runs if other == owner]
        turns = [turn for turn, _, _ in self.runs]
        turn = turn_of(min(turns, default=None), max(own, default=None))
        self.came += 1
        self.runs.append((turn, self.came, owner))

    def leave(self) -> str:
        self.runs.sort()
        return self.runs.pop(0)[2]


def test_owners_take_turns_however_many_runs_each_has() -> None:
    line = Line()
    for owner in "a" * 1000 + "bb" + "c":
        line.enter(owner)

    assert "".join(line.leave() for _ in range(9)) == "aabcabaaa"


def test_who_comes_late_does_not_wait_for_all_that_others_have_asked_for() -> None:
    line = Line()
    for _ in range(1000):
        line.enter("a")
    for _ in range(500):
        line.leave()
    line.enter("b")

    assert [line.leave() for _ in range(3)] == ["a", "a", "b"]


def test_nobody_is_put_back_for_ever_by_those_who_come_anew() -> None:
    line = Line()
    for _ in range(5):
        line.enter("old")
    served = []
    for n in range(20):
        # More of them than there are slots.
        line.enter(f"new {n}")
        line.enter(f"newer {n}")
        served.append(line.leave())

    assert served.count("old") >= 4


@pytest.mark.parametrize(
    ("priority", "since", "begun", "expected"),
    [
        (0, 0.0, None, 0 - 600 / PATIENCE),
        (0, 600.0, None, 0),
        (3, 600.0 - PATIENCE, None, 2),
        (3, 0.0, 600.0 - 2 * PATIENCE, 1),
        (3, 600.0 - PATIENCE, 0.0, 2),
        # Clocks are set back.
        (3, 700.0, None, 3),
        (3, 0.0, 700.0, 3),
    ],
)
def test_a_priority_counts_as_more_urgent_the_longer_none_of_its_runs_begins(
    priority: int, since: float, begun: float | None, expected: float
) -> None:
    assert urgency(priority, since, begun, 600.0) == expected


def waiting(*names: str, since: float = 600.0) -> list[Waiting]:
    return [
        Waiting(name, GOES_ON if name.startswith("on") else n, since)
        for n, name in enumerate(names, 1)
    ]


@pytest.mark.parametrize(
    ("queues", "begun", "limit", "expected"),
    [
        ({}, {}, 5, []),
        ({0: []}, {}, 5, []),
        ({0: waiting("a", "b")}, {}, 1, ["a"]),
        ({0: waiting("a", "b")}, {}, 5, ["a", "b"]),
        ({5: waiting("low"), -5: waiting("a", "b"), 0: waiting("c")}, {}, 3, ["a", "b", "c"]),
        # What has begun before goes on first.
        ({-5: waiting("a"), 5: waiting("on", "low")}, {}, 2, ["on", "a"]),
        # Nobody has begun a run of `low` for so long that one of them comes first.
        ({-1: waiting("a", "b"), 1: waiting("low", "low 2", since=0.0)}, {}, 2, ["low", "a"]),
        ({-1: waiting("a", "b"), 1: waiting("low", since=0.0)}, {1: 550.0}, 2, ["a", "b"]),
        ({-1: waiting("a", since=0.0), 1: waiting("low", since=0.0)}, {}, 2, ["a", "low"]),
    ],
)
def test_the_most_urgent_is_next(
    queues: dict[int, list[Waiting]], begun: dict[int, float], limit: int, expected: list[str]
) -> None:
    assert [run.run_id for run in choose(queues, begun, 600.0, limit)] == expected


def test_what_nobody_is_in_a_hurry_for_begins_now_and_then_and_not_more_often() -> None:
    begun: dict[int, float] = {}
    low = [Waiting(f"low {n}", n, 0.0) for n in range(1, 1001)]
    times = []
    # Another urgent run is there each second, and one slot becomes free.
    for second in range(3600):
        urgent = [Waiting("urgent", 1, float(second))]
        queues = {MOST_URGENT: urgent, LEAST_URGENT: low[:1]}
        [chosen] = choose(queues, begun, float(second), 1)
        if chosen.run_id == "urgent":
            begun[MOST_URGENT] = float(second)
        else:
            begun[LEAST_URGENT] = float(second)
            low.pop(0)
            times.append(second)

    steps = (LEAST_URGENT - MOST_URGENT) * PATIENCE
    gaps = [after - before for before, after in zip([0, *times], times, strict=False)]
    assert len(times) == 5
    assert all(steps <= gap <= steps + 2 for gap in gaps)


def test_owners_are_told_apart_and_not_told() -> None:
    names = ["ada", "ben", "a" * 10_000, "\udce4"]

    owners = {owner_of(name) for name in names}

    assert len(owners) == 4
    assert {len(owner) for owner in owners} == {32}
    assert not owners & {*names}
    assert owner_of(None) == owner_of("") == NOBODY


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def db(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Give a database of either kind, in which nothing is left by those who use it."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            database: Database = SqliteDatabase(tmp_path_factory.mktemp("queue") / "server.db")
        else:
            from millstream.server.storage.postgres import PostgresDatabase
            from millstream.server.storage.postgres_engine import Address

            database = PostgresDatabase(Address(stack.enter_context(new_postgres())))
        stack.callback(database.close)
        database.write_soon(assistants.ensure_own, ["g"]).result(30)
        yield database


class Undone(Exception):
    """Everything is as it was before."""


@pytest.fixture
def within(db: Database) -> Callable[[Callable[[Connection], None]], None]:
    """Give what calls a function with a connection, whose changes are then taken back."""

    def call(function: Callable[[Connection], None]) -> None:
        def undo(connection: Connection) -> None:
            function(connection)
            raise Undone

        with pytest.raises(Undone):
            db.write_soon(undo).result(30)

    return call


Within = Callable[[Callable[[Connection], None]], None]


BEGINNING = datetime(2126, 1, 1, tzinfo=timezone.utc)
"""In a time that has not come: what is put off does not become due by itself."""


def at(seconds: float) -> str:
    return (BEGINNING + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


@dataclass
class Run:
    """What the model knows of a run."""

    name: str
    thread: str
    owner: str
    priority: int
    came: int
    status: str = "pending"
    turn: int | None = None
    due: float | None = None
    start: float | None = None


class Model:
    """The runs of a server with all of them in a list, as slow and simple as can be."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def of(self, thread: str) -> list[Run]:
        return [run for run in self.runs if run.thread == thread]

    def is_ahead(self, thread: str) -> bool:
        return any(run.status == "running" or run.turn is not None for run in self.of(thread))

    def enter(self, run: Run) -> None:
        line = [one for one in self.runs if one.turn is not None and one.priority == run.priority]
        own = [one.turn for one in line if one.owner == run.owner]
        first = [one.turn for one in line if one.turn != GOES_ON]
        run.turn = turn_of(min(first, default=None), max(own, default=None))

    def free(self, thread: str) -> None:
        if not self.is_ahead(thread):
            for run in sorted(self.of(thread), key=lambda run: run.came):
                if run.status == "pending" and run.start is None:
                    self.enter(run)
                    return

    def claim(self, limit: int, begun: dict[int, float], now: float) -> list[str]:
        line = [run for run in self.runs if run.turn is not None]
        line.sort(key=lambda run: (run.turn, run.due, run.name))
        queues: dict[int, list[Waiting]] = {}
        for run in line:
            assert run.turn is not None
            assert run.due is not None
            of = queues.setdefault(run.priority, [])
            of.append(Waiting(run.name, run.turn, (BEGINNING.timestamp() + run.due)))
        chosen = choose(queues, begun, BEGINNING.timestamp() + now, limit)
        for name in [waiting.run_id for waiting in chosen]:
            run = next(run for run in self.runs if run.name == name)
            run.status, run.turn = "running", None
        return [waiting.run_id for waiting in chosen]


def new_run(run: Run) -> NewRun:
    return NewRun(
        run_id=run.name,
        thread_id=run.thread,
        assistant_id=ASSISTANT,
        graph_id="g",
        kwargs={"resumable": False, "temporary": False, "config": {"configurable": {}}},
        metadata={},
        strategy="enqueue",
        created_at=at(run.came),
        start_at=None if run.start is None else at(run.start),
        creates_thread=True,
        is_stateless=False,
        priority=run.priority,
        owner=run.owner,
    )


def rows(connection: Connection) -> dict[str, tuple[str, int | None]]:
    query = select(table.c.run_id, table.c.status, table.c.turn)
    return {row.run_id: (row.status, row.turn) for row in connection.execute(query)}


class Both:
    """Does everything twice: with the model, and with the rows."""

    def __init__(self, connection: Connection, seed: int) -> None:
        self.connection = connection
        self.model = Model()
        self.random = random.Random(seed)
        self.now = 0
        self.begun: dict[int, float] = {}

    def write(self, function: Any, *args: Any, **named: Any) -> Any:
        return function(self.connection, *args, **named)

    def create(self) -> None:
        pick = self.random.choice
        run = Run(
            f"run-{self.now:04}",
            f"thread-{pick('abcdef')}",
            pick(["", "ada", "ben"]),
            pick([-1, 0, 0, 2]),
            self.now,
        )
        if self.random.random() < 0.2:
            run.start = 100_000.0 + self.now
        else:
            run.due = float(self.now)
        is_free = not self.model.is_ahead(run.thread) and run.start is None
        may_start = self.random.random() < 0.2
        self.model.runs.append(run)
        if is_free and may_start:
            run.status = "running"
        elif is_free:
            self.model.enter(run)
        holder = ME if may_start else None
        created = self.write(runs.create, ASSISTANT, lambda *_: new_run(run), None, holder=holder)
        assert (created.job is not None) == (run.status == "running")

    def claim(self) -> None:
        limit = self.random.randint(1, 3)
        expected = self.model.claim(limit, self.begun, self.now)
        jobs = self.write(queue.claim, limit, dict(self.begun), ME, time=at(self.now)).jobs
        assert [job.run_id for job in jobs] == expected
        for job in jobs:
            self.begun[job.priority] = BEGINNING.timestamp() + self.now

    def finish(self) -> None:
        running = [run for run in self.model.runs if run.status == "running"]
        if not running:
            return
        run = self.random.choice(running)
        may_start = self.random.random() < 0.3
        run.status = "success"
        following = sorted(self.model.of(run.thread), key=lambda one: one.came)
        next_run = next(
            (one for one in following if one.status == "pending" and one.start is None), None
        )
        if next_run is not None and may_start:
            next_run.status = "running"
        elif next_run is not None:
            self.model.enter(next_run)
        end = End("finished")
        holder = ME if may_start else None
        finished = self.write(runs.finish, run.name, run.thread, end, holder=holder)
        assert (finished.next_job is not None) == (next_run is not None and may_start)
        assert finished.has_queued == (next_run is not None and not may_start)

    def cancel(self) -> None:
        pending = [run for run in self.model.runs if run.status == "pending"]
        if not pending:
            return
        run = self.random.choice(pending)
        run.status, run.turn, run.start = "interrupted", None, None
        self.model.free(run.thread)
        self.write(runs.cancel, "interrupted", None, run_ids=[run.name])

    def come_due(self) -> None:
        time = 100_000.0 + self.now - self.random.randint(0, 30)
        put_off = [run for run in self.model.runs if run.start is not None and run.start <= time]
        for run in put_off:
            run.due, run.start = run.start, None
            if not self.model.is_ahead(run.thread):
                self.model.enter(run)
        assert self.write(queue.bring_due, at(time)) is False

    def restart(self) -> None:
        for run in self.model.runs:
            if run.status == "running":
                run.status, run.turn = "pending", GOES_ON
        taken = self.write(replicas.take_over, None, "me")
        self.write(replicas.put_back, taken.runs, "me")

    def compare(self) -> None:
        found = self.write(rows)
        assert found == {run.name: (run.status, run.turn) for run in self.model.runs}


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))]
)
def test_the_database_goes_by_the_same_rules(within: Within, seed: int) -> None:
    def script(connection: Connection) -> None:
        both = Both(connection, seed)
        steps = [both.create] * 10 + [both.claim] * 3 + [both.finish] * 4
        steps += [both.cancel, both.come_due]
        for n in range(150):
            both.now += 1
            step = both.restart if n % 50 == 49 else both.random.choice(steps)
            step()
            both.compare()
            for thread in {run.thread for run in both.model.runs}:
                of = both.model.of(thread)
                assert sum(run.status == "running" or run.turn is not None for run in of) <= 1

    within(script)


def add(connection: Connection, *given: Run, holder: Holder | None = None) -> None:
    for run in given:
        plan = new_run(run)
        runs.create(connection, ASSISTANT, lambda *_, plan=plan: plan, None, holder=holder)


def test_what_was_put_off_for_the_same_moment_is_brought_in_several_goes(within: Within) -> None:
    def script(connection: Connection) -> None:
        late = [Run(f"run-{n:04}", f"thread-{n}", "", 0, n, start=1000.0) for n in range(101)]
        add(connection, *late, holder=ME)

        assert queue.next_start(connection) == at(1000)
        assert queue.bring_due(connection, at(999)) is False
        assert queue.bring_due(connection, at(1000)) is True
        assert queue.bring_due(connection, at(1000)) is False
        assert queue.next_start(connection) is None
        assert len(queue.claim(connection, 200, {}, ME).jobs) == 101

    within(script)


def test_those_who_claim_at_once_get_different_runs_and_one_of_each_thread(db: Database) -> None:
    def fill(connection: Connection) -> None:
        add(connection, *(Run(f"run-{n:04}", f"thread-{n % 20}", "", 0, n) for n in range(40)))

    def claim() -> Future[Claimed]:
        return db.write_soon(queue.claim, 20, {}, ME)

    db.write_soon(fill).result(30)
    try:
        claimed: list[Job] = []
        while len(claimed) < 20:
            several = [claim() for _ in range(4)]
            found = [future.result(30) for future in several]
            jobs = [job for each in found for job in each.jobs]
            # Who has found none was not waited for, or nothing is left.
            assert jobs or any(each.has_passed for each in found)
            claimed.extend(jobs)
    finally:
        db.write_soon(lambda connection: connection.execute(text("DELETE FROM threads"))).result(30)

    assert sorted(job.run_id for job in claimed) == [f"run-{n:04}" for n in range(20)]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("FIRST_TURN", "ix_runs_queue"),
        ("OWN_TURN", "ix_runs_turns"),
        ("NEXT_PRIORITY", "ix_runs_queue"),
        ("OF_PRIORITY", "ix_runs_queue"),
        ("DUE", "ix_runs_put_off"),
        ("NEXT", "ix_runs_unfinished"),
        ("PRESENT", "ix_runs_unfinished"),
        ("ONE_PRESENT", "ix_runs_unfinished"),
        ("AHEAD", "ix_runs_unfinished"),
    ],
)
def test_what_is_next_is_at_the_end_of_an_index(within: Within, name: str, index: str) -> None:
    compiled = getattr(run_statements, name)._for

    def script(connection: Connection) -> None:
        """See how SQLite looks for what a statement wants; PostgreSQL goes by what there is."""
        if connection.dialect.name != "sqlite":
            return
        known = compiled(connection.dialect)
        steps = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {known.text}", tuple(1 for _ in known.names)
        )
        plan = "; ".join(row[3] for row in steps)
        assert index in plan
        assert "TEMP B-TREE" not in plan

    within(script)


def test_runs_of_a_database_of_before_are_in_the_queue_if_nothing_is_before_them(
    within: Within,
) -> None:
    def script(connection: Connection) -> None:
        add(connection, Run("run-1", "thread-a", "", 0, 1), holder=ME)
        add(connection, Run("run-7", "thread-d", "", 0, 7), holder=ME)
        add(
            connection,
            Run("run-2", "thread-a", "", 0, 2),
            Run("run-3", "thread-b", "", 0, 3),
            Run("run-4", "thread-b", "", 0, 4),
            Run("run-5", "thread-c", "", 0, 5, start=1000.0),
            Run("run-6", "thread-c", "", 0, 6),
        )
        runs.finish(connection, "run-7", "thread-d", End("finished"), holder=None)
        connection.execute(text("UPDATE runs SET turn = NULL, due_at = NULL"))

        for statement in _0008_turns.SORT:
            connection.execute(text(statement))

        assert rows(connection) == {
            "run-1": ("running", None),
            "run-2": ("pending", None),
            "run-3": ("pending", 1),
            "run-4": ("pending", None),
            "run-5": ("pending", None),
            "run-6": ("pending", 1),
            "run-7": ("success", None),
        }
        claimed = queue.claim(connection, 9, {}, ME).jobs
        assert [job.run_id for job in claimed] == ["run-3", "run-6"]

    within(script)


def test_a_run_that_is_being_taken_over_is_before_all_others_of_its_thread(within: Within) -> None:
    def script(connection: Connection) -> None:
        add(connection, Run("run-1", "thread-a", "", 0, 1), holder=Holder("first"))
        add(connection, Run("run-2", "thread-a", "", 0, 2))
        add(connection, Run("run-3", "thread-a", "", 0, 3))

        taken = replicas.take_over(connection, None, "second")
        assert taken is not None
        assert [run_id for run_id, *_ in taken.runs] == ["run-1"]
        # Whatever happens meanwhile, nothing of its thread begins.
        add(connection, Run("run-4", "thread-a", "", 0, 4), holder=Holder("third"))
        runs.cancel(connection, "interrupted", None, run_ids=["run-2"])
        assert queue.claim(connection, 9, {}, Holder("third")).jobs == []
        # Who takes it over may die as well.
        again = replicas.take_over(connection, None, "third")
        assert again is not None
        assert [run_id for run_id, *_ in again.runs] == ["run-1"]
        replicas.put_back(connection, taken.runs, "second")
        assert queue.claim(connection, 9, {}, Holder("third")).jobs == []
        replicas.put_back(connection, again.runs, "third")
        [job] = queue.claim(connection, 9, {}, Holder("fourth")).jobs
        assert (job.run_id, job.attempt) == ("run-1", 2)

    within(script)
