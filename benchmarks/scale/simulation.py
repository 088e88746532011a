"""Replicas on one PostgreSQL, simulated: how much they do, and when clients see it.

Processors, the lock of each replica's interpreter, the disk and the client are what there is too
little of. What a run does is a row of round trips: some computing in the replica, which holds the
interpreter's lock for most of it, then some in the connection's process of the database. All costs
are those of `costs`; nothing here is fitted to what several replicas reach.

Who wants the lock has to be woken for it, and comes too late where its holder wants it again at
once. So a loop keeps the lock as long as it has something to do: what a run says without a pause it
says in one go, and what stores that, or sends it, goes on afterwards. And where a core is there for
those that are woken in vain, each time that takes something (`Costs.woken`), and what the kernel
does for a thread comes between two that have the lock.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from benchmarks.scale.costs import Cost, Costs
from benchmarks.scale.discrete import Activity, Clock, Disk, Flag, Station

REST: Final = 0.003
"""Seconds between two rings of a replica, as `server.doorbell` has them."""
TURNS: Final = 2
"""How often a round trip lets go of the interpreter's lock: a thread waits for the answer, and then
hands it to the loop."""
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
        self.computing = 0
        """Replicas of which a thread holds the lock."""

    @property
    def has_core_for_more(self) -> bool:
        """Whether the replicas that compute leave a core to a thread that is woken.

        The database and the client only have one for moments.
        """
        return self.computing < self._cores

    def use(self, seconds: float, slowing: float | None = None) -> Activity:
        """Compute for so long, or longer if others compute too."""
        yield self
        others = (self._cores - self._free - 1) / max(1, self._cores - 1)
        slowing = self._slowing if slowing is None else slowing
        taken = seconds * (1 + (slowing - 1) * others)
        yield taken
        self.busy += taken
        self.leave()


class Client:
    """Who asks for runs and reads them, all in one thread."""

    def __init__(self, clock: Clock, machine: Machine) -> None:
        self._machine = machine
        self._thread = Station(clock, 1)

    def compute(self, seconds: float) -> Activity:
        """Compute for so long."""
        if seconds > 0:
            yield self._thread
            yield from self._machine.use(seconds)
            self._thread.leave()


class Replica:
    """A process that serves: one thread at a time holds its interpreter's lock."""

    def __init__(self, clock: Clock, machine: Machine, costs: Costs) -> None:
        self._machine = machine
        self._costs = costs
        self._lock = Station(clock, 1)
        self.news: set[int] = set()
        """The runs that there is something new of to ring for."""
        self.is_resting = False
        self.followed: dict[int, Run] = {}
        """The runs of others that are read here."""
        self.due: set[int] = set()
        """Those that may have said more."""
        self.is_looking = False

    def compute(self, seconds: float, turns: int = TURNS) -> Activity:
        """Compute for so long, some of it without the lock, which is let go of so many times."""
        if seconds <= 0:
            return
        yield self._lock
        machine, costs = self._machine, self._costs
        machine.computing += 1
        is_crowded = self._lock.is_wanted and machine.has_core_for_more
        if is_crowded:
            # What was measured in a crowd is slow already.
            held = seconds
            yield from machine.use(held + turns * costs.woken, slowing=1.0)
        else:
            held = seconds * costs.held
            yield from machine.use(held)
        machine.computing -= 1
        self._lock.leave()
        if held < seconds:
            yield from machine.use(seconds - held)


class Simulation:
    """One scene, played once."""

    def __init__(self, scene: Scene, costs: Costs, *, seed: int = 0) -> None:
        self.scene = scene
        self.costs = costs
        self.clock = Clock()
        self.machine = Machine(self.clock, scene.cores, costs.slowing)
        self.disk = Disk(self.clock, costs.flush)
        self.client = Client(self.clock, self.machine)
        self.replicas = [Replica(self.clock, self.machine, costs) for _ in range(scene.processes)]
        self.runs = self.notifications = self.looks = 0
        """Runs that were begun, rings, and how often runs of others were looked at."""
        self._random = random.Random(seed)
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
            run = Run(self, self.runs, number % self.scene.processes)
            self.runs += 1
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
        self.look(replica, told & replica.followed.keys())

    def look(self, reader: Replica, due: set[int]) -> None:
        """Have a replica fetch what runs of others have said, all that are due at once."""
        reader.due |= due
        if reader.due and not reader.is_looking:
            reader.is_looking = True
            self.clock.start(self._look(reader))

    def _look(self, reader: Replica) -> Activity:
        while reader.due:
            due, reader.due = reader.due, set()
            runs = [reader.followed[number] for number in due if number in reader.followed]
            if not runs:
                continue
            self.looks += 1
            fetched = [(run, run.stored) for run in runs]
            yield from self.work(reader, self.costs.fetch)
            count = sum(end - run.fetched for run, end in fetched)
            if count:
                yield from self.work(reader, self.costs.fetched, count)
            for run, end in fetched:
                run.take(end)
        reader.is_looking = False


class Run:
    """One run, from the request until its reader has seen the end.

    It says that it begins, its events, and that it has ended.
    """

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
        self.stored = 0
        """Entries, as all that is counted here."""
        self.fetched = 0
        """Those that its reader's replica has, where that is another one."""
        self._said = self._seen = 0
        self._entries = simulation.scene.events + 2
        self._storing: Flag | None = None
        """Set when all is stored that was said."""
        self._is_created = Flag()
        self._is_read = Flag()

    def go(self) -> Activity:
        """Be asked for, and be read to the end."""
        everything, costs, reader = self._all, self._costs, self._reader
        yield from everything.client.compute(costs.run.client / 2)
        everything.clock.start(self._carry_out())
        if reader is not None:
            yield self._is_created
            yield from everything.client.compute(costs.join.client)
            yield from everything.work(reader, costs.join)
            reader.followed[self._number] = self
            everything.look(reader, {self._number})
        yield self._is_read
        if reader is not None:
            del reader.followed[self._number]
        yield from everything.client.compute(costs.run.client / 2)

    def _carry_out(self) -> Activity:
        everything, costs, replica = self._all, self._costs, self._replica
        scene = everything.scene
        opening, closing = parts_of_run(costs)
        yield from everything.work(replica, opening, 0.5, commits=1)
        self._is_created.set()
        # That it begins is the first that it says.
        self._note(1)
        yield from everything.work(replica, opening, 0.5)
        yield from self._say()
        for _ in range(scene.supersteps - 1):
            yield from everything.work(replica, costs.superstep, commits=1)
        if self._storing is not None:
            # What tells of a superstep is stored before the superstep.
            yield self._storing
        if len(everything.replicas) > 1:
            yield from everything.work(replica, costs.beside)
        yield from everything.work(replica, closing, commits=2)
        self.stored = self._entries
        self._show()

    def _say(self) -> Activity:
        scene = self._all.scene
        if scene.delay:
            for index in range(scene.events):
                yield scene.delay
                yield from self._replica.compute(self._costs.event.replica if index else 0.0)
                self._note(1)
        else:
            self._note(1)
            # Without a pause the loop does not let others have the lock in between.
            further = scene.events - 1
            yield from self._replica.compute(further * self._costs.event.replica, further)
            self._note(further)

    def _note(self, count: int) -> None:
        """Have stored what was said; that which comes meanwhile is stored together."""
        self._said += count
        if count and self._storing is None:
            self._storing = Flag()
            self._all.clock.start(self._store(self._storing))

    def _store(self, done: Flag) -> Activity:
        everything, costs = self._all, self._costs
        while (count := self._said - self.stored) > 0:
            yield from everything.machine.use(count * costs.event.database)
            yield from everything.work(self._replica, costs.batch, commits=1)
            self.stored += count
            self._show()
        self._storing = None
        done.set()

    def _show(self) -> None:
        """Have what is stored read."""
        reader = self._reader
        if reader is None:
            self._all.clock.start(self._read(self.stored))
        elif self._number in reader.followed or self.stored == self._entries:
            self._all.ring(self._replica, self._number)

    def take(self, end: int) -> None:
        """Have its reader's replica know it up to an entry."""
        if end > self.fetched:
            self.fetched = end
            self._all.clock.start(self._read(end))

    def _read(self, end: int) -> Activity:
        """Have the client read up to an entry."""
        count, self._seen = max(0, end - self._seen), max(end, self._seen)
        yield from self._all.client.compute(count * self._costs.event.client)
        if not self.first and end > 1:
            self.first = self._all.clock.now
        if end == self._entries:
            self._is_read.set()


def parts_of_run(costs: Costs) -> tuple[Cost, Cost]:
    """Return what a run costs before it says its first event, and after that.

    Storing that event is neither, nor that it begins.
    """
    run, batch, part = costs.run, costs.batch, costs.before_first
    opening = Cost(
        max(0.0, run.replica * part - 2 * batch.replica),
        max(0.0, run.database * part - 2 * batch.database),
        trips=max(1.0, run.trips * part - 2 * batch.trips),
    )
    closing = Cost(
        run.replica * (1 - part), run.database * (1 - part), trips=max(1.0, run.trips * (1 - part))
    )
    return opening, closing
