"""Measure what everything costs: the parameters of `model` and `simulation`.

One client asks for one run after the other, so that nothing waits but for what it costs. What a
run costs, an event and so on is told apart by runs that have more of one of them.
`scripts/services.sh run -- .venv/bin/python -m benchmarks.scale.calibrate` writes them down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg

from benchmarks.scale.costs import MEASURED, Cost, Costs, written
from benchmarks.scale.server import database, set_durable
from benchmarks.scale.serving import Replicas, Usage, serving, speak
from benchmarks.scale.simulation import Scene
from millstream.server.doorbell.doorbell import Doorbell

ONE: Final = Scene(events=1)
STEPS: Final = Scene(events=1, supersteps=21)
APART: Final = Scene(events=101, delay=0.005)
"""Each of its events is stored alone."""
TOGETHER: Final = Scene(events=1001)
"""Its events are stored with others."""
UNSTORED: Final = replace(TOGETHER, is_resumable=False)
RUNS: Final = {ONE: 100, STEPS: 25, APART: 10, TOGETHER: 10, UNSTORED: 10}
"""How many runs of each are looked at in a round."""
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
    """Have runs of a scene speak, one after the other."""
    before = replicas.usage()
    answers = [await speak(replicas.ports, scene, place) for place in range(runs)]
    # What is done behind the last answer is of this scene, too.
    await asyncio.sleep(0.2)
    used = replicas.usage() - before
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


SCENES: Final = {
    "one": ONE,
    "steps": STEPS,
    "apart": APART,
    "together": TOGETHER,
    "unstored": UNSTORED,
}


async def look_at_all(
    replicas: Replicas, rounds: int, *, is_elsewhere: bool = False
) -> dict[str, Looked]:
    """Look at runs of each scene, in turns.

    What is not stored cannot be read from its beginning elsewhere.
    """
    found: dict[str, list[Looked]] = {}
    for number in range(rounds + 1):
        for name, scene in SCENES.items():
            if is_elsewhere and not scene.is_resumable:
                continue
            there = replace(scene, is_elsewhere=is_elsewhere)
            looked = await look(replicas, there, RUNS[scene])
            if number:  # else statements are not prepared yet, and threads not started
                found.setdefault(name, []).append(looked)
    return {name: middle(looked) for name, looked in found.items()}


def told_apart(found: dict[str, Looked]) -> tuple[Cost, Cost, Cost, Cost]:
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


def _spin(count: int) -> None:
    total = 0
    for number in range(count):
        total += number * number


def _timed(processes: int, count: int) -> float:
    context = multiprocessing.get_context("fork")
    spinning = [context.Process(target=_spin, args=(count,)) for _ in range(processes)]
    began = time.perf_counter()
    for process in spinning:
        process.start()
    for process in spinning:
        process.join()
    return time.perf_counter() - began


def slowing_of_cores(cores: int = 2, count: int = 5_000_000) -> float:
    """Return how many times as long computing takes while the other cores compute too."""
    alone = min(_timed(1, count) for _ in range(5))
    return max(1.0, min(_timed(cores, count) for _ in range(5)) / alone)


def reading_costs(
    here: dict[str, Looked], there: dict[str, Looked], ring: Cost, heard: Cost
) -> tuple[Cost, Cost, Cost]:
    """Return what reading elsewhere costs: to come, each fetch and each event fetched."""
    more = {
        name: combined(lambda far, near: far - near, looked.cost, here[name].cost)
        for name, looked in there.items()
    }
    bell = combined(lambda a, b: a + 2 * b, ring, heard)
    join = combined(lambda one, bell: one - bell, more["one"], bell)
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
    return join, fetch, fetched


def main() -> None:
    """Measure, and write it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=Path, default=MEASURED)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=2, help="1 leaves out reading elsewhere")
    options = parser.parse_args()
    slowing = slowing_of_cores()
    flush, log_rate = flush_of_disk(), log_rate_of_disk()
    ring, heard = ring_costs()
    with serving(1) as replicas:
        here = asyncio.run(look_at_all(replicas, options.rounds))
        stream_memory, connections = asyncio.run(streams(replicas))
    join = fetch = fetched = Cost()
    if options.replicas > 1:
        with serving(2) as replicas:
            there = asyncio.run(look_at_all(replicas, options.rounds, is_elsewhere=True))
        join, fetch, fetched = reading_costs(here, there, ring, heard)
    run, superstep, batch, event = told_apart(here)
    one, further = here["one"], UNSTORED.events - 1
    said = combined(lambda many, one: (many - one) / further, here["unstored"].cost, run)
    costs = Costs(
        run=run,
        superstep=superstep,
        batch=batch,
        event=event,
        said=said,
        join=join,
        fetch=fetch,
        fetched=fetched,
        ring=ring,
        heard=heard,
        before_first=one.first / one.whole,
        held=1 - one.system,
        flush=flush,
        log_rate=log_rate,
        slowing=slowing,
        stream_memory=stream_memory,
        connections=connections,
    )
    known = {**written(options.to), "costs": costs.as_json()}
    options.to.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(known["costs"], indent=1))
    for name, looked in here.items():
        print(json.dumps({"scene": name, "first": looked.first, "whole": looked.whole}))


if __name__ == "__main__":
    main()
