"""The capacity model: what a load takes, and which part of it gives first. Formulas alone.

Everything is a demand for a second: of processors, of bytes, of turns at a lock. What is demanded
is divided by what there is; what comes to 1 first is what gives. Costs are those of `costs`, which
are measured; what there is, is said by a `Cluster`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from benchmarks.scale.costs import Cost, Costs
from benchmarks.scale.simulation import REST, TURNS

SPARE: Final = 0.7
"""Which part of a processor is given work: what waits for one that has more, waits for long."""
RETENTION: Final = 120.0
"""Seconds for which events are kept after the end of their run, by default."""


TOO_MANY: Final = 10_000_000
"""Replicas: where each more has the others do more than it does itself, none are enough."""


@dataclass(frozen=True)
class Load:
    """What is asked for."""

    runs: float
    """That begin in a second."""
    seconds: float
    """For which each of them goes on."""
    events: float
    """That each of them says."""
    supersteps: float = 1.0
    size: float = 0.0
    """Bytes of an event's text, beside what it has here."""
    elsewhere: float = 0.5
    """Which part of the runs is read at another replica than that which carries them out."""
    stored: float = 1.0
    """Which part of the runs has its events stored: all that are resumable, or read elsewhere."""

    @property
    def streams(self) -> float:
        """How many runs go on at a time, each with its reader."""
        return self.runs * self.seconds


@dataclass(frozen=True)
class Cluster:
    """What there is."""

    database_cores: float
    """Of one PostgreSQL server, of the kind that was measured."""
    log_rate: float
    """Bytes of its log that its disk takes in a second."""
    connections: int = 100
    """What one PostgreSQL server allows."""
    memory: float = 4e9
    """Bytes that a replica may take."""
    databases: int = 1
    """PostgreSQL servers; a thread is in one of them."""
    is_pooled: bool = False
    """Whether replicas share connections, through a pooler."""
    batching: float = 0.0
    """Seconds in which a replica stores what all its runs have said in one transaction; 0 where
    each run stores its own."""
    are_rings_addressed: bool = False
    """Whether a ring reaches only the replicas that follow the run, past the database."""


@dataclass(frozen=True)
class Demand:
    """What a load takes, in a second, of all replicas and all database servers together."""

    replica: float
    """Processors, in the replicas."""
    database: float
    """Processors, in PostgreSQL."""
    replicas: int
    """Processes that serve: each computes with one processor."""
    commits: float
    trips: float
    log: float
    """Bytes of PostgreSQL's log."""
    notifications: float
    wake_ups: float
    """Replicas woken by notifications."""
    fetches: float
    """Reads of events by replicas that have readers of runs of others."""
    rows: float
    """Events that are stored at a time."""
    connections: int
    """To one PostgreSQL server."""


@dataclass(frozen=True)
class Limit:
    """Something of which there is only so much."""

    name: str
    used: float
    """Which part of it; 1 is all of it."""
    instead: str
    """What replaces it."""


def batches_of(load: Load, seconds: float) -> float:
    """Return in how many transactions a run stores its events, if each takes so many seconds.

    The next one has what was said meanwhile.
    """
    if load.events <= 1:
        return 0.0
    together = max(1.0, seconds * (load.events - 1) / max(load.seconds, 1e-9))
    return (load.events - 1) / together


def seconds_of(cost: Cost, costs: Costs) -> float:
    """Return how long something takes that has to wait for nobody."""
    return cost.replica + cost.database + costs.flush


def _sum(parts: Sequence[tuple[float, Cost]], name: str) -> float:
    return sum(count * float(getattr(cost, name)) for count, cost in parts)


def demand(load: Load, costs: Costs, cluster: Cluster) -> Demand:
    """Return what a load takes."""
    replicas, taken = 0, _demand(load, costs, cluster, 1)
    # What is done by replica depends on how many there are: never on fewer than are needed.
    while replicas < taken.replicas and replicas < TOO_MANY:
        replicas = taken.replicas
        taken = _demand(load, costs, cluster, replicas)
    return taken


def _demand(load: Load, costs: Costs, cluster: Cluster, replicas: int) -> Demand:
    """Return what a load takes of so many replicas, and how many it needs."""
    batches = load.runs * load.stored * batches_of(load, seconds_of(costs.batch, costs))
    if cluster.batching:
        batches = min(batches, replicas / cluster.batching)
    told = batches * load.elsewhere + load.runs * load.elsewhere
    # Who rings, or reads what it was rung for, does it for all that has come meanwhile.
    rings = min(told, replicas / REST) if replicas > 1 else 0.0
    fetches = min(told, replicas / REST) if replicas > 1 else 0.0
    heard = min(replicas, told / max(rings, 1e-9)) if cluster.are_rings_addressed else replicas
    wake_ups = rings * heard
    further = load.runs * (load.events - 1)
    parts = [
        (load.runs, costs.run),
        (load.runs * (load.supersteps - 1), costs.superstep),
        (batches, costs.batch),
        (further * load.stored, costs.event),
        (further * (1 - load.stored), costs.said),
        (load.runs if replicas > 1 else 0.0, costs.beside),
        (load.runs * load.elsewhere, costs.join),
        (fetches, costs.fetch),
        (load.runs * load.events * load.elsewhere, costs.fetched),
        (rings, Cost(replica=costs.ring.replica)),
        (wake_ups, Cost(replica=costs.heard.replica)),
    ]
    if not cluster.are_rings_addressed:
        parts += [
            (rings, Cost(database=costs.ring.database)),
            (wake_ups, Cost(database=costs.heard.database)),
        ]
    replica, database = _sum(parts, "replica"), _sum(parts, "database")
    commits, trips = _sum(parts, "commits"), _sum(parts, "trips")
    needed = max(
        1, ceil(replica / SPARE), ceil(load.streams * costs.stream_memory / cluster.memory)
    )
    connections = needed * costs.connections
    if cluster.is_pooled:
        # By Little's law: as many as there are transactions open at a time, here and there.
        opened = trips * (costs.run.replica + costs.run.database) / max(costs.run.trips, 1.0)
        connections = ceil((opened + commits * costs.flush) / SPARE / cluster.databases)
    stored = load.runs * load.events * load.stored
    return Demand(
        replica=replica,
        database=database,
        replicas=needed,
        commits=commits,
        trips=trips,
        log=_sum(parts, "log") + stored * load.size,
        notifications=rings,
        wake_ups=wake_ups,
        fetches=fetches,
        rows=stored * (load.seconds / 2 + RETENTION),
        connections=connections,
    )


def limits(load: Load, costs: Costs, cluster: Cluster) -> list[Limit]:
    """Return what there is only so much of, that which gives first first."""
    taken = demand(load, costs, cluster)
    servers = cluster.databases
    found = [
        Limit(
            "processors of PostgreSQL",
            taken.database / (servers * cluster.database_cores * SPARE),
            "several databases, by the hash of the thread",
        ),
        Limit(
            "the log of PostgreSQL",
            taken.log / (servers * cluster.log_rate),
            "several databases, by the hash of the thread",
        ),
        Limit("connections", taken.connections / cluster.connections, "a pooler: PgBouncer"),
    ]
    if not cluster.are_rings_addressed:
        found += [
            Limit(
                "the lock of notifications",
                # It is held for as long as a ring takes, which does not wait for the disk.
                taken.notifications * costs.ring.database / servers,
                "rings from replica to replica",
            ),
            Limit(
                "wake-ups of those who hear all rings",
                # One processor hands notifications on for each that listens.
                taken.wake_ups * costs.heard.replica / (taken.replicas * SPARE),
                "rings for those who follow the run, from replica to replica",
            ),
        ]
    return sorted(found, key=lambda limit: -limit.used)


def capacity(load: Load, costs: Costs, cluster: Cluster) -> tuple[float, Limit]:
    """Return how many runs of this kind may begin in a second, and what gives then."""
    low, high = 0.0, 1e7
    for _ in range(60):
        middle = (low + high) / 2
        if limits(replace(load, runs=middle), costs, cluster)[0].used > 1:
            high = middle
        else:
            low = middle
    return low, limits(replace(load, runs=high), costs, cluster)[0]


def most_runs(load: Load, costs: Costs, processes: int, cores: int) -> float:
    """Return how many runs in a second some processes can do that share these processors.

    With the database and the client, which computes with one at most. It is what many clients come
    to, while nothing waits for the disk.
    """
    taken = _demand(replace(load, runs=1.0), costs, Cluster(cores, float("inf")), processes)
    client = costs.run.client + (load.events - 1) * costs.event.client
    # With a core for threads that are woken in vain, each takes something, and all is in a row.
    lost = costs.woken * (TURNS * taken.trips + load.events - 1) if processes < cores else 0.0
    held = taken.replica + lost if processes < cores else taken.replica * costs.held
    everything = taken.replica + lost + taken.database + client
    busiest = max(everything / cores, held / processes, client)
    return 1 / (busiest * costs.slowing)
