"""The capacity model and the simulation: they agree with each other, and with what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.scale.calibrate import (
    APART,
    STEPS,
    TOGETHER,
    Looked,
    combined,
    reading_costs,
    slowing,
    told_apart,
    waking,
)
from benchmarks.scale.costs import Cost, Costs, written
from benchmarks.scale.discrete import Activity, Clock, Disk, Flag, Station
from benchmarks.scale.model import (
    SPARE,
    Cluster,
    Load,
    batches_of,
    capacity,
    demand,
    limits,
    most_runs,
)
from benchmarks.scale.report import strays
from benchmarks.scale.simulation import REST, Scene, Simulation, figures

COSTS = Costs(
    run=Cost(replica=0.008, database=0.003, client=0.001, trips=20, commits=4, log=10_000),
    superstep=Cost(replica=0.001, database=0.0005, trips=1, commits=1, log=1000),
    batch=Cost(replica=0.0008, database=0.0004, trips=4, commits=1, log=200),
    event=Cost(replica=5e-5, database=2e-5, client=1e-5, log=400),
    said=Cost(replica=2e-5, client=1e-5),
    beside=Cost(replica=0.001, database=0.0005, trips=3),
    join=Cost(replica=0.002, database=0.001, client=0.0005, trips=3),
    fetch=Cost(replica=0.0005, database=0.0002, trips=2),
    fetched=Cost(replica=2e-5, database=1e-5),
    ring=Cost(replica=0.0002, database=0.0001, trips=1, commits=1),
    heard=Cost(replica=5e-5, database=5e-5),
    before_first=0.6,
    held=0.8,
    woken=5e-5,
    flush=0.0,
    log_rate=2e8,
    slowing=1.0,
    stream_memory=50_000,
    connections=20,
)
CLUSTER = Cluster(database_cores=16, log_rate=2e8)
LOAD = Load(runs=10, seconds=10, events=100)


# -- activities ----------------------------------------------------------------------------------


def test_a_station_is_taken_in_the_order_of_asking() -> None:
    clock, left = Clock(), list[tuple[str, float]]()
    station = Station(clock, 1)

    def visit(name: str, seconds: float) -> Activity:
        yield from station.use(seconds)
        left.append((name, clock.now))

    for name, seconds in (("a", 2.0), ("b", 1.0), ("c", 1.0)):
        clock.start(visit(name, seconds))
    clock.run(10)

    assert left == [("a", 2.0), ("b", 3.0), ("c", 4.0)]
    assert station.busy == 4.0


def test_a_flush_is_shared_by_those_who_asked_before_it_began() -> None:
    clock, ended = Clock(), list[tuple[float, float]]()
    disk = Disk(clock, 1.0)

    def commit(at: float) -> Activity:
        yield at
        yield from disk.flush()
        ended.append((at, clock.now))

    for at in (0.5, 0.75, 1.0, 2.0):
        clock.start(commit(at))
    clock.run(10)

    assert ended == [(0.5, 1.5), (0.75, 2.5), (1.0, 2.5), (2.0, 3.5)]
    assert disk.flushes == 3


def test_a_flag_that_is_set_is_waited_for_no_more() -> None:
    clock, passed = Clock(), list[float]()
    flag = Flag()

    def wait(seconds: float) -> Activity:
        yield seconds
        yield flag
        passed.append(clock.now)

    clock.start(wait(1.0))
    clock.start(wait(3.0))
    clock.after(2.0, flag.set)
    clock.run(10)

    assert passed == [2.0, 3.0]


# -- the simulation ------------------------------------------------------------------------------


def test_a_run_that_waits_for_nobody_takes_what_it_costs() -> None:
    simulation = Simulation(Scene(), COSTS)

    seen = simulation.play(5)

    run, batch = COSTS.run, COSTS.batch
    costs = run.replica + run.database + run.client
    assert simulation.machine.busy / 5 == pytest.approx(seen.runs * costs, rel=0.02)
    # That it has begun is stored while it goes on.
    assert costs - batch.replica - batch.database <= seen.whole < costs
    assert seen.first < seen.whole
    assert seen.runs == pytest.approx(1 / seen.whole, rel=0.02)


def test_commits_wait_for_the_disk_each_in_its_turn() -> None:
    at_once = Simulation(Scene(), COSTS).play(5)
    waiting = Simulation(Scene(), replace(COSTS, flush=0.01)).play(5)

    # It is stored, says that it begins, says something, has a checkpoint and ends.
    assert 0.045 < waiting.whole - at_once.whole < 0.05
    assert 0.025 < waiting.first - at_once.first < 0.03


def test_many_clients_share_what_the_disk_does() -> None:
    simulation = Simulation(Scene(clients=16, cores=64), replace(COSTS, flush=0.01, held=0.0))

    seen = simulation.play(5)

    assert simulation.disk.flushes <= 5 / 0.01
    assert seen.runs * 4 > 2 * simulation.disk.flushes / 5


def test_what_is_said_without_a_pause_is_stored_together_and_shown_afterwards() -> None:
    def play(events: int, delay: float) -> tuple[Simulation, float]:
        simulation = Simulation(Scene(events=events, delay=delay), free)
        return simulation, simulation.play(5).first

    free = replace(COSTS, flush=1e-6)  # else flushes are not counted
    apart, first_apart = play(100, 0.01)
    together, first = play(100, 0.0)
    _, first_of_one = play(1, 0.0)

    runs = together.runs
    assert together.disk.flushes <= 7 * runs
    assert apart.disk.flushes >= 100 * (apart.runs - 1)
    assert first - first_of_one > 0.7 * 99 * COSTS.event.replica
    assert first_apart - first_of_one < 0.012


def test_threads_that_are_woken_in_vain_take_time_where_a_core_is_free() -> None:
    def runs(processes: int, cores: int, woken: float) -> float:
        costs = replace(COSTS, woken=woken)
        return Simulation(Scene(processes, 16, 20, cores=cores), costs).play(4).runs

    assert runs(1, 8, 4e-4) < 0.7 * runs(1, 8, 0.0)
    assert runs(4, 2, 4e-4) > 0.9 * runs(4, 2, 0.0)


def test_more_processes_do_more_until_the_cores_are_busy() -> None:
    def runs(processes: int, cores: int) -> float:
        return Simulation(Scene(processes, 32, 20, cores=cores), COSTS).play(4).runs

    assert runs(2, 16) > 1.7 * runs(1, 16)
    assert runs(4, 2) < 1.1 * runs(2, 2)


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("cores", [2, 8])
def test_formula_and_simulation_agree_on_what_many_clients_come_to(
    processes: int, cores: int
) -> None:
    scene = Scene(processes, 32, cores=cores)
    seen = Simulation(scene, COSTS).play(4)

    load = Load(runs=1, seconds=1, events=1, elsewhere=0)
    assert most_runs(load, COSTS, processes, cores) == pytest.approx(seen.runs, rel=0.1)


def test_readers_elsewhere_see_every_event_and_later() -> None:
    here = Simulation(Scene(2, 1, 20), COSTS).play(4)
    simulation = Simulation(Scene(2, 1, 20, is_elsewhere=True), COSTS)
    there = simulation.play(4)

    assert there.first > here.first
    assert there.events == 20 * there.runs
    assert 0 < simulation.notifications <= 2 * 4 / REST


def test_readers_elsewhere_share_what_is_fetched_for_them() -> None:
    simulation = Simulation(Scene(2, 32, 20, is_elsewhere=True), COSTS)

    simulation.play(4)

    assert 0 < simulation.looks < simulation.runs


def test_figures_need_a_run_that_has_ended() -> None:
    with pytest.raises(ValueError, match=r"no run has ended in 8 s: give it more time"):
        figures([], [], 1, 8.0)


# -- what was measured ---------------------------------------------------------------------------

STRAYS: dict[int, set[str]] = {
    1: set(),
    2: set(),
    4: {"4, 16, 1, here, no", "4, 16, 20, here, waits"},
}
"""Of so many processes, what the simulation is further off than a fifth: docs/scale.md says why."""


@pytest.mark.parametrize(
    "processes", [1, *(pytest.param(many, marks=pytest.mark.long) for many in (2, 4))]
)
def test_events_a_second_are_within_a_fifth_of_what_was_measured(processes: int) -> None:
    known = written()
    figures = [each for each in known["figures"] if each["scene"]["processes"] == processes]

    found = strays(Costs.of(known["costs"]), figures, 3.0)

    assert figures
    assert set(found) == STRAYS[processes], found


# -- the model -----------------------------------------------------------------------------------


def test_events_are_stored_together_that_are_said_while_others_are_stored() -> None:
    slow = Load(runs=1, seconds=100, events=101)

    assert batches_of(slow, 0.5) == 100
    assert batches_of(slow, 10.0) == 10
    assert batches_of(replace(slow, events=1), 0.5) == 0


def test_a_load_twice_as_high_takes_twice_as_much() -> None:
    one = demand(replace(LOAD, elsewhere=0), COSTS, CLUSTER)
    two = demand(replace(LOAD, elsewhere=0, runs=20), COSTS, CLUSTER)

    for name in ("replica", "database", "commits", "log", "rows"):
        assert getattr(two, name) == pytest.approx(2 * getattr(one, name))
    assert one.replicas >= one.replica / SPARE


def test_streams_that_wait_need_replicas_for_their_memory() -> None:
    waiting = Load(runs=1, seconds=1e6, events=2)

    assert waiting.streams == 1e6
    needed = waiting.streams * COSTS.stream_memory / CLUSTER.memory
    assert demand(waiting, COSTS, CLUSTER).replicas >= needed


def test_what_gives_first_is_what_is_used_up_at_the_capacity() -> None:
    most, limit = capacity(LOAD, COSTS, CLUSTER)

    assert limit.used == pytest.approx(1, rel=0.3)
    assert all(each.used <= limit.used for each in limits(replace(LOAD, runs=most), COSTS, CLUSTER))


def test_what_replaces_a_limit_moves_it() -> None:
    costs = replace(COSTS, flush=0.005)
    ways = [
        CLUSTER,
        replace(CLUSTER, is_pooled=True),
        replace(CLUSTER, is_pooled=True, connections=400),
        replace(CLUSTER, is_pooled=True, connections=400, are_rings_addressed=True),
        replace(CLUSTER, is_pooled=True, connections=400, are_rings_addressed=True, databases=4),
    ]

    found = [capacity(LOAD, costs, cluster) for cluster in ways]

    assert [limit.name for _, limit in found] == [
        "connections",
        "connections",
        "processors of PostgreSQL",
        "processors of PostgreSQL",
        "processors of PostgreSQL",
    ]
    numbers = [most for most, _ in found]
    assert numbers == sorted(numbers)
    assert numbers[-2] > 1.5 * numbers[-3]
    assert numbers[-1] == pytest.approx(4 * numbers[-2], rel=0.01)


# -- calibration ---------------------------------------------------------------------------------


def test_costs_are_told_apart_by_scenes_that_have_more_of_one() -> None:
    batch, event, steps = COSTS.batch, COSTS.event, COSTS.superstep

    def looked(batches: int, events: int, supersteps: int) -> Looked:
        cost = combined(
            lambda run, step, batch, event: (
                run + supersteps * step + batches * batch + events * event
            ),
            COSTS.run,
            steps,
            batch,
            event,
        )
        return Looked(cost, 0.01, 0.02, 0.2)

    found = {
        "one": looked(0, 0, 0),
        "steps": looked(0, 0, STEPS.supersteps - 1),
        "apart": looked(90, APART.events - 1, 0),
        "together": looked(7, TOGETHER.events - 1, 0),
    }

    told = told_apart(found)

    for cost, wanted in zip(told, (COSTS.run, steps, batch, event), strict=True):
        for name in ("replica", "database", "client", "log"):
            assert getattr(cost, name) == pytest.approx(getattr(wanted, name), abs=1e-12)


def test_what_another_replica_costs_is_told_apart() -> None:
    fetches, events = APART.events - 1, TOGETHER.events - 1
    bell = combined(lambda ring, heard: ring + 2 * heard, COSTS.ring, COSTS.heard)
    parts = (COSTS.run, COSTS.beside, COSTS.join, COSTS.fetch, COSTS.fetched, bell)

    def looked(*counts: int) -> Looked:
        def add(*costs: float) -> float:
            return sum(count * cost for count, cost in zip(counts, costs, strict=True))

        return Looked(combined(add, *parts), 0.01, 0.02, 0.2)

    here = {name: looked(1, 0, 0, 0, 0, 0) for name in ("one", "apart", "together")}
    there = {
        "beside": looked(1, 1, 0, 0, 0, 0),
        "one": looked(1, 1, 1, 1, 0, 1),
        "apart": looked(1, 1, 1, 1 + fetches, fetches, 1 + fetches),
        "together": looked(1, 1, 1, 1, events, 1),
    }

    told = reading_costs(here, there, COSTS.ring, COSTS.heard)

    wanted = (COSTS.beside, COSTS.join, COSTS.fetch, COSTS.fetched)
    for cost, right in zip(told, wanted, strict=True):
        for name in ("replica", "database", "client"):
            assert getattr(cost, name) == pytest.approx(getattr(right, name), abs=1e-12)


def test_what_a_crowd_costs_is_seen_by_the_processor_that_it_uses() -> None:
    alone = Looked(Cost(replica=0.008, database=0.002, trips=20.5), 0.01, 0.01, 0.2)
    one_process = Looked(Cost(replica=0.012, database=0.002, trips=40), 0.1, 0.1, 0.4)
    all_cores = Looked(Cost(replica=0.0085, database=0.0025), 0.1, 0.1, 0.2)

    assert slowing(alone, all_cores) == pytest.approx(1.1)
    # Twice for each of 20.5 round trips, and for 19 events behind the first.
    assert waking(alone, one_process) == pytest.approx(0.004 / 60)
    assert waking(alone, alone) == 0.0


def test_costs_are_the_same_after_they_were_written_down() -> None:
    assert Costs.of(COSTS.as_json()) == COSTS
