"""Measure what everything costs: the parameters of `model` and `simulation`.

One client asks for one run after the other, so that nothing waits but for what it costs. What a
run costs, an event and so on is told apart by runs that have more of one of them. Several clients
are there for two numbers, what is lost where threads want the same lock, and where processes want
the same cores; and that is seen by the processor that is used, and not by how fast they are.
`scripts/services.sh run -- .venv/bin/python -m benchmarks.scale.calibrate` writes them down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from benchmarks.scale.costs import MEASURED, Cost, Costs, written
from benchmarks.scale.server import database, set_durable
from benchmarks.scale.serving import Replicas, Usage, serving, speak
from benchmarks.scale.simulation import TURNS, Scene
from benchmarks.servers.client import Answer
from millstream.server.doorbell.doorbell import Doorbell

ONE: Final = Scene(events=1)
STEPS: Final = Scene(events=1, supersteps=21)
APART: Final = Scene(events=101, delay=0.005)
"""Each of its events is stored alone."""
TOGETHER: Final = Scene(events=1001)
"""Its events are stored with others."""
UNSTORED: Final = replace(TOGETHER, is_resumable=False)
ALONE: Final = Scene(events=20)
CROWD: Final = replace(ALONE, clients=8)
"""Its runs go on at a time."""
HERE: Final = {
    "one": ONE,
    "steps": STEPS,
    "apart": APART,
    "together": TOGETHER,
    "unstored": UNSTORED,
    "alone": ALONE,
    "crowd": CROWD,
}
THERE: Final = {
    "beside": ONE,
    "one": replace(ONE, is_elsewhere=True),
    "apart": replace(APART, is_elsewhere=True),
    "together": replace(TOGETHER, is_elsewhere=True),
    "alone": ALONE,
    "crowd": CROWD,
}
"""What is looked at with two replicas."""
RUNS: Final = {"one": 100, "beside": 100, "steps": 25, "alone": 50, "crowd": 160}
"""How many runs of these are looked at in a round."""
MANY_EVENTS: Final = 10
"""The same of the others."""
_FIELDS: Final = ("replica", "database", "client", "trips", "commits", "log")
_STREAMS: Final = 400


@dataclass(frozen=True)
class Looked:
    """What a run of a scene has used, and when its reader saw something."""

    cost: Cost
    first: float
    whole: float
    system: float
    """Which part of the replica's computing the kernel has done."""


async def look(replicas: Replicas, scene: Scene, runs: int) -> Looked:
    """Have runs of a scene speak, each client's one after the other."""

    async def ask(client: int) -> list[Answer]:
        count = len(range(client, runs, scene.clients))
        return [await speak(replicas.ports, scene, client) for _ in range(count)]

    before = replicas.usage()
    asked = await asyncio.gather(*(ask(client) for client in range(scene.clients)))
    # What is done behind the last answer is of this scene, too.
    await asyncio.sleep(0.2)
    used = replicas.usage() - before
    answers = [answer for each in asked for answer in each]
    firsts, wholes = [each.first for each in answers], [each.whole for each in answers]
    return Looked(_cost(used, runs), median(firsts), median(wholes), used.system / used.replica)


def _cost(used: Usage, count: int) -> Cost:
    return Cost(**{name: used.__dict__[name] / count for name in _FIELDS})


def combined(calculate: Callable[..., float], *costs: Cost) -> Cost:
    """Return a cost whose numbers are calculated from those of others."""
    return Cost(
        **{name: max(0.0, calculate(*(cost.__dict__[name] for cost in costs))) for name in _FIELDS}
    )


def middle(looked: Sequence[Looked]) -> Looked:
    """Return the median of each number."""
    return Looked(
        combined(lambda *numbers: median(numbers), *(each.cost for each in looked)),
        *(median(each.__dict__[name] for each in looked) for name in ("first", "whole", "system")),
    )


async def look_at_all(
    replicas: Replicas, scenes: Mapping[str, Scene], rounds: int
) -> dict[str, Looked]:
    """Look at runs of each scene, in turns."""
    found: dict[str, list[Looked]] = {}
    for number in range(rounds + 1):
        for name, scene in scenes.items():
            looked = await look(replicas, scene, RUNS.get(name, MANY_EVENTS))
            if number:  # else statements are not prepared yet, and threads not started
                found.setdefault(name, []).append(looked)
    return {name: middle(looked) for name, looked in found.items()}


def told_apart(found: Mapping[str, Looked]) -> tuple[Cost, Cost, Cost, Cost]:
    """Return the cost of a run, a superstep, a transaction that stores events, and an event."""
    run, steps = found["one"].cost, found["steps"].cost
    further = STEPS.supersteps - 1
    superstep = combined(lambda many, one: (many - one) / further, steps, run)
    apart = combined(lambda many, one: many - one, found["apart"].cost, run)
    together = combined(lambda many, one: many - one, found["together"].cost, run)
    batches, events = (apart.commits, together.commits), (APART.events - 1, TOGETHER.events - 1)
    # Two equations for each number: batches * batch + events * event = what is used further.
    base = batches[0] * events[1] - batches[1] * events[0]
    batch = combined(lambda a, t: (a * events[1] - t * events[0]) / base, apart, together)
    event = combined(lambda a, t: (t * batches[0] - a * batches[1]) / base, apart, together)
    return run, superstep, batch, event


async def streams(replicas: Replicas) -> tuple[float, int]:
    """Return the bytes that a run takes that waits, with its reader; and the connections."""
    before = replicas.memory()
    scene = Scene(events=2, delay=6.0)
    reading = asyncio.gather(*(speak(replicas.ports, scene) for _ in range(_STREAMS)))
    await asyncio.sleep(5.0)
    taken = (replicas.memory() - before) / _STREAMS
    await reading
    return taken, replicas.connections()


async def bells(address: str, listeners: int, rings: int) -> tuple[float, float]:
    """Ring so often, and return the seconds of a processor that replicas and database have used."""
    missing = listeners
    all_heard = asyncio.Event()

    def hear(_: object) -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            all_heard.set()

    # That which rings hears itself, and keeps it to itself.
    bells = [Doorbell(address, hear) for _ in range(listeners)]
    ringing = Doorbell(address, lambda news: None)
    looking = Replicas((), address)
    try:
        for bell in (*bells, ringing):
            await bell.start()
        await all_heard.wait()
        before, sent = looking.usage(), ringing.sent
        for _ in range(rings):
            missing = listeners
            all_heard.clear()
            ringing.ring("run", "01a228bc-b60f-77db-931e-a4f14facf12e")
            await asyncio.wait_for(all_heard.wait(), 30)
        used, sent = looking.usage() - before, ringing.sent - sent
    finally:
        for bell in (*bells, ringing):
            await bell.close()
        looking.close()
    return used.client / sent, used.database / sent


def ring_costs() -> tuple[Cost, Cost]:
    """Return what it costs to ring, and each that listens."""
    with database() as address:
        few = asyncio.run(bells(address, 1, 300))
        many = asyncio.run(bells(address, 9, 300))
    heard = Cost(replica=(many[0] - few[0]) / 8, database=(many[1] - few[1]) / 8)
    # Two have listened to the few: the one, and that which rings.
    ring = Cost(
        replica=max(0.0, few[0] - 2 * heard.replica),
        database=max(0.0, few[1] - 2 * heard.database),
        trips=1.0,
        commits=1.0,
    )
    return ring, heard


def flush_of_disk(commits: int = 200) -> float:
    """Return how many seconds longer a commit takes that waits for the disk."""

    def times(connection: psycopg.Connection[Any]) -> float:
        taken = []
        for number in range(commits):
            began = time.perf_counter()
            connection.execute("INSERT INTO waited VALUES (%s)", (number,))
            taken.append(time.perf_counter() - began)
        return median(taken)

    with database() as address, psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE waited (number int)")
        at_once = times(connection)
        set_durable(True)
        try:
            time.sleep(0.5)
            return max(0.0, times(connection) - at_once)
        finally:
            set_durable(False)


def log_rate_of_disk(size: int = 1 << 28, piece: int = 1 << 20) -> float:
    """Return how many bytes a second the disk takes that are written one after the other."""
    data = os.urandom(piece)
    with tempfile.TemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(size // piece):
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        return size / (time.perf_counter() - began)


def slowing(alone: Looked, crowd: Looked) -> float:
    """Return how many times as much processor a run takes where others have all cores, too."""
    used = [each.cost.replica + each.cost.database for each in (alone, crowd)]
    return max(1.0, used[1] / used[0])


def waking(alone: Looked, crowd: Looked) -> float:
    """Return what a replica takes more each time that it lets go of the lock while others want it.

    It does that at each round trip, and after each event.
    """
    times = TURNS * alone.cost.trips + ALONE.events - 1
    return max(0.0, (crowd.cost.replica - alone.cost.replica) / times)


def reading_costs(
    here: Mapping[str, Looked], there: Mapping[str, Looked], ring: Cost, heard: Cost
) -> tuple[Cost, Cost, Cost, Cost]:
    """Return what another replica costs: to be there, to come to read, each fetch and event."""
    beside = combined(lambda two, one: two - one, there["beside"].cost, here["one"].cost)
    more = {
        name: combined(lambda far, near: far - near, there[name].cost, here[name].cost)
        for name in ("one", "apart", "together")
    }
    bell = combined(lambda a, b: a + 2 * b, ring, heard)
    fetches = APART.events - 1
    # Those that came together were fetched in few pieces, as many as there were batches.
    fetched = combined(
        lambda far, one: (far - one) / (TOGETHER.events - 1), more["together"], more["one"]
    )
    fetch = combined(
        lambda far, one, bell, fetched: (far - one) / fetches - bell - fetched,
        more["apart"],
        more["one"],
        bell,
        fetched,
    )
    # Who comes fetches once, at least, and is told of the end.
    parts = (beside, bell, fetch)
    join = combined(lambda one, *parts: one - sum(parts), more["one"], *parts)
    return beside, join, fetch, fetched


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=Path, default=MEASURED)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=2, help="1 leaves out what others cost")
    options = parser.parse_args()
    flush, log_rate = flush_of_disk(), log_rate_of_disk()
    ring, heard = ring_costs()
    with serving(1) as replicas:
        here = asyncio.run(look_at_all(replicas, HERE, options.rounds))
        stream_memory, connections = asyncio.run(streams(replicas))
    there: dict[str, Looked] = {}
    slowed = 1.0
    beside = join = fetch = fetched = Cost()
    if options.replicas > 1:
        with serving(2) as replicas:
            there = asyncio.run(look_at_all(replicas, THERE, options.rounds))
        beside, join, fetch, fetched = reading_costs(here, there, ring, heard)
        slowed = slowing(there["alone"], there["crowd"])
    run, superstep, batch, event = told_apart(here)
    one, further = here["one"], UNSTORED.events - 1
    said = combined(lambda many, one: (many - one) / further, here["unstored"].cost, run)
    costs = Costs(
        run=run,
        superstep=superstep,
        batch=batch,
        event=event,
        said=said,
        beside=beside,
        join=join,
        fetch=fetch,
        fetched=fetched,
        ring=ring,
        heard=heard,
        before_first=one.first / one.whole,
        held=1 - one.system,
        woken=waking(here["alone"], here["crowd"]),
        flush=flush,
        log_rate=log_rate,
        slowing=slowed,
        stream_memory=stream_memory,
        connections=connections,
    )
    known = {**written(options.to), "costs": costs.as_json()}
    options.to.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(known["costs"], indent=1))
    for name, looked in (*here.items(), *there.items()):
        print(json.dumps({"scene": name, **asdict(looked)}))


if __name__ == "__main__":
    main()
