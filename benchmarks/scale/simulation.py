"""Replicas on one PostgreSQL, simulated: how much they do, and when clients see it.

Processors, the lock of each replica's interpreter, the disk and the client are what there is too
little of. What a run does is a row of round trips: some computing in the replica, which holds the
interpreter's lock for most of it, then some in the connection's process of the database. All costs
are those of `costs`; nothing here is fitted to what several replicas reach.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.scale.costs import Cost, Costs
from benchmarks.scale.discrete import Activity, Clock, Disk, Flag, Station

REST: Final = 0.003
"""Seconds between two rings of a replica, as `server.doorbell` has them."""
_WARMING: Final = 0.2
"""Which part of the time is not counted: clients have begun together."""


@dataclass(frozen=True)
class Scene:
    """Who asks for what, and where."""

    processes: int = 1
    clients: int = 1
    """Each asks for a run when the one before has ended."""
    events: int = 1
    """Of each run."""
    delay: float = 0.0
    """Seconds before each event."""
    supersteps: int = 1
    is_resumable: bool = True
    """Whether its events are stored; all that are simulated are."""
    is_elsewhere: bool = False
    """Whether each run is read at another replica than that which it was given to."""
    cores: int = 2
    """For all of it: replicas, database and clients."""


@dataclass(frozen=True)
class Figures:
    """What clients have seen."""

    runs: float
    """In a second."""
    events: float
    """In a second."""
    first: float
    """Seconds until the first event, in the middle."""
    first_p99: float
    whole: float
    """Seconds until the end, in the middle."""


def figures(firsts: list[float], wholes: list[float], events: int, seconds: float) -> Figures:
    """Return what was seen of runs that have ended in so many seconds."""
    firsts, wholes = sorted(firsts), sorted(wholes)
    ended = len(wholes)
    if not ended:
        raise ValueError(f"no run has ended in {seconds:g} s: give it more time")
    return Figures(
        ended / seconds,
        ended * events / seconds,
        firsts[ended // 2],
        firsts[min(ended - 1, ended * 99 // 100)],
        wholes[ended // 2],
    )


class Machine(Station):
    """Processors, which slow each other down."""

    def __init__(self, clock: Clock, cores: int, slowing: float) -> None:
        super().__init__(clock, cores)
        self._cores = cores
        self._slowing = slowing

    def use(self, seconds: float) -> Activity:
        """Compute for so long, or longer if others compute too."""
        yield self
        others = (self._cores - self._free - 1) / max(1, self._cores - 1)
        taken = seconds * (1 + (self._slowing - 1) * others)
        yield taken
        self.busy += taken
        self.leave()


class Replica:
    """A process that serves: one thread at a time holds its interpreter's lock."""

    def __init__(self, clock: Clock, machine: Machine, held: float) -> None:
        self._machine = machine
        self._held = held
        self.lock = Station(clock, 1)
        self.news: set[int] = set()
        """The runs that there is something new of to ring for."""
        self.is_resting = False

    def compute(self, seconds: float) -> Activity:
        """Compute for so long, some of it without the lock."""
        if seconds <= 0:
            return
        yield self.lock
        yield from self._machine.use(seconds * self._held)
        self.lock.leave()
        if self._held < 1:
            yield from self._machine.use(seconds * (1 - self._held))


class Simulation:
    """One scene, played once."""

    def __init__(self, scene: Scene, costs: Costs, *, seed: int = 0) -> None:
        self.scene = scene
        self.costs = costs
        self.clock = Clock()
        self.machine = Machine(self.clock, scene.cores, costs.slowing)
        self.disk = Disk(self.clock, costs.flush)
        self.client = Replica(self.clock, self.machine, 1.0)
        self.replicas = [
            Replica(self.clock, self.machine, costs.held) for _ in range(scene.processes)
        ]
        self.followed: dict[int, Callable[[], None]] = {}
        """What has the events of a run fetched elsewhere."""
        self.notifications = 0
        self._random = random.Random(seed)
        self._runs = 0
        self._ended: list[tuple[float, float, float]] = []
        """When runs have ended, with the seconds until their first event and their end."""

    def play(self, seconds: float) -> Figures:
        """Play so many seconds, and return what was seen."""
        for number in range(self.scene.clients):
            self.clock.start(self._ask(number))
        self.clock.run(seconds)
        counted = [each for each in self._ended if each[0] > seconds * _WARMING]
        firsts, wholes = [each[1] for each in counted], [each[2] for each in counted]
        return figures(firsts, wholes, self.scene.events, seconds * (1 - _WARMING))

    def _ask(self, number: int) -> Activity:
        yield self._random.random() * 0.01
        while True:
            run = Run(self, self._runs, number % self.scene.processes)
            self._runs += 1
            began = self.clock.now
            yield from run.go()
            now = self.clock.now
            self._ended.append((now, run.first - began, now - began))

    def work(self, replica: Replica, cost: Cost, part: float = 1.0, commits: int = 0) -> Activity:
        """Do part of what something costs: some round trips, some of which end in a commit."""
        trips = max(1, commits, round(cost.trips * part))
        for trip in range(trips):
            yield from replica.compute(cost.replica * part / trips)
            yield from self.machine.use(cost.database * part / trips)
            if commits and (trip + 1) * commits // trips > trip * commits // trips:
                yield from self.disk.flush()

    def ring(self, replica: Replica, run: int) -> None:
        """Have others told that a run has said more."""
        replica.news.add(run)
        if not replica.is_resting:
            replica.is_resting = True
            self.clock.start(self._tell(replica))

    def _tell(self, replica: Replica) -> Activity:
        ring, heard = self.costs.ring, self.costs.heard
        while replica.news:
            told, replica.news = replica.news, set()
            yield from replica.compute(ring.replica)
            yield from self.machine.use(ring.database)
            # Its transaction has written nothing else: PostgreSQL does not flush for it.
            self.notifications += 1
            for other in self.replicas:
                # That which rings hears it, too, and knows that it was itself.
                self.clock.start(self._hear(other, heard, told if other is not replica else set()))
            yield REST
        replica.is_resting = False

    def _hear(self, replica: Replica, heard: Cost, told: set[int]) -> Activity:
        yield from self.machine.use(heard.database)
        yield from replica.compute(heard.replica)
        for run in told:
            if run in self.followed:
                self.followed[run]()


class Run:
    """One run, from the request until its reader has seen the end, which is its last entry."""

    def __init__(self, simulation: Simulation, number: int, place: int) -> None:
        self._all = simulation
        self._costs = simulation.costs
        self._number = number
        replicas = simulation.replicas
        self._replica = replicas[place]
        is_elsewhere = simulation.scene.is_elsewhere and len(replicas) > 1
        self._reader = replicas[(place + 1) % len(replicas)] if is_elsewhere else None
        self.first = 0.0
        """When its first event was read."""
        self._said = self._stored = self._fetched = self._seen = 0
        """Entries."""
        self._entries = simulation.scene.events + 1
        self._is_fetching = False
        self._is_ending = False
        self._storing: Flag | None = None
        """Set when what is being stored is."""
        self._is_created = Flag()
        self._is_read = Flag()

    def go(self) -> Activity:
        """Be asked for, and be read to the end."""
        everything, costs = self._all, self._costs
        yield from everything.client.compute(costs.run.client / 2)
        everything.clock.start(self._carry_out())
        if self._reader is not None:
            yield self._is_created
            yield from everything.client.compute(costs.join.client)
            yield from everything.work(self._reader, costs.join)
            everything.followed[self._number] = self._rung
            self._rung()
        yield self._is_read
        everything.followed.pop(self._number, None)
        yield from everything.client.compute(costs.run.client / 2)

    def _carry_out(self) -> Activity:
        everything, costs, replica = self._all, self._costs, self._replica
        scene = everything.scene
        opening, closing = parts_of_run(costs)
        yield from everything.work(replica, opening, 0.5, commits=1)
        self._is_created.set()
        yield from everything.work(replica, opening, 0.5)
        for index in range(scene.events):
            if scene.delay:
                yield scene.delay
            if index:
                yield from replica.compute(costs.event.replica)
            self._said += 1
            if self._storing is None:
                self._storing = Flag()
                everything.clock.start(self._store(self._storing))
        for _ in range(scene.supersteps - 1):
            yield from everything.work(replica, costs.superstep, commits=1)
        self._is_ending = True
        if self._storing is not None:
            yield self._storing
        rest = self._said - self._stored
        yield from everything.work(replica, closing, commits=2)
        yield from everything.machine.use(rest * costs.event.database)
        self._stored = self._entries
        self._show()

    def _store(self, stored: Flag) -> Activity:
        everything, costs = self._all, self._costs
        while (count := self._said - self._stored) > 0:
            yield from everything.machine.use(count * costs.event.database)
            yield from everything.work(self._replica, costs.batch, commits=1)
            self._stored += count
            self._show()
            if self._is_ending:
                # What comes now is stored with the end.
                break
        self._storing = None
        stored.set()

    def _show(self) -> None:
        """Have what is stored read."""
        if self._reader is None:
            self._all.clock.start(self._read(self._stored))
        else:
            self._all.ring(self._replica, self._number)

    def _rung(self) -> None:
        if not self._is_fetching:
            self._is_fetching = True
            self._all.clock.start(self._fetch())

    def _fetch(self) -> Activity:
        everything, costs, reader = self._all, self._costs, self._reader
        assert reader is not None, "somebody reads elsewhere"
        while (count := self._stored - self._fetched) > 0:
            end = self._stored
            yield from everything.work(reader, costs.fetch)
            yield from everything.work(reader, costs.fetched, count)
            self._fetched = end
            everything.clock.start(self._read(end))
        self._is_fetching = False

    def _read(self, end: int) -> Activity:
        """Have the client read up to an entry."""
        count, self._seen = max(0, end - self._seen), max(end, self._seen)
        yield from self._all.client.compute(count * self._costs.event.client)
        if not self.first:
            self.first = self._all.clock.now
        if end == self._entries:
            self._is_read.set()


def parts_of_run(costs: Costs) -> tuple[Cost, Cost]:
    """Return what a run costs before it says something, and after it has said its first event.

    Storing that event is neither.
    """
    run, batch, part = costs.run, costs.batch, costs.before_first
    opening = Cost(
        max(0.0, run.replica * part - batch.replica),
        max(0.0, run.database * part - batch.database),
        trips=max(1.0, run.trips * part - batch.trips),
    )
    closing = Cost(
        run.replica * (1 - part), run.database * (1 - part), trips=max(1.0, run.trips * (1 - part))
    )
    return opening, closing
