"""The tables of docs/scale.md about capacity, from what is written down in `measured.json`.

`.venv/bin/python -m benchmarks.scale.report` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from math import ceil
from typing import Any, Final

from benchmarks.scale.costs import Cost, Costs, written
from benchmarks.scale.model import SPARE, Cluster, Load, capacity, demand
from benchmarks.scale.simulation import Scene, Simulation

WHAT: Final = {
    "run": "a run of one superstep that says one thing",
    "superstep": "each further superstep",
    "batch": "each further transaction that stores events",
    "event": "each further event, that is stored with others",
    "said": "each further event, that is not stored",
    "beside": "each run, where there is another replica",
    "join": "to come to a run of another replica",
    "fetch": "each read of its events there",
    "fetched": "each event that is read there",
    "ring": "a notification",
    "heard": "the same, for each replica that hears it",
}
SIMULATED: Final = 10.0
"""Seconds of a simulated time."""
NEAR: Final = 0.2
"""By which part of what was measured the simulation may be off."""
AGENT: Final = Load(runs=1, seconds=10, events=200, supersteps=5, size=100)
"""Runs that talk: twenty events a second for ten seconds. Half of them is read elsewhere."""
QUIET: Final = replace(AGENT, stored=0.0, elsewhere=0.0)
"""The same runs where nobody comes back, and all are read where they are carried out."""
BATCHING: Final = 0.01
"""Seconds in which a replica would store what all its runs have said, where it did that."""
POOLED: Final = 500
"""Connections that a PostgreSQL server allows a pooler: a parameter, too."""
CORES: Final = 32.0
"""Processors of one PostgreSQL server in the tables: a parameter, nothing that was measured."""


def predicted(
    costs: Costs, figure: Mapping[str, Any], seconds: float = SIMULATED
) -> dict[str, Any]:
    """Return what the simulation says of something that was measured."""
    known = costs if figure["is_durable"] else replace(costs, flush=0.0)
    return asdict(Simulation(Scene(**figure["scene"]), known).play(seconds))


def strays(
    costs: Costs, figures: Iterable[Mapping[str, Any]], seconds: float = SIMULATED
) -> dict[str, float]:
    """Return by how much the events a second are off that are not near what was measured."""
    found = {}
    for figure in figures:
        measured = figure["seen"]["events"]
        off = predicted(costs, figure, seconds)["events"] / measured - 1
        if abs(off) > NEAR:
            found[", ".join(_named(figure))] = off
    return found


def _named(figure: Mapping[str, Any]) -> list[str]:
    scene = figure["scene"]
    place = "elsewhere" if scene["is_elsewhere"] else "here"
    waits = "waits" if figure["is_durable"] else "no"
    return [*(str(scene[name]) for name in ("processes", "clients", "events")), place, waits]


def comparison(costs: Costs, figures: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of what was measured, and what the simulation says."""
    yield (
        "| processes | clients | events | read | disk | events/s: measured, simulated | "
        "first event ms: measured, simulated |"
    )
    yield "|" + "---|" * 7
    for figure in figures:
        seen, said = figure["seen"], predicted(costs, figure)
        cells = [
            f"{measured:,.{digits}f}, {simulated:,.{digits}f} ({simulated / measured - 1:+.0%})"
            for measured, simulated, digits in (
                (seen["events"], said["events"], 0),
                (seen["first"] * 1e3, said["first"] * 1e3, 1),
            )
        ]
        yield "| " + " | ".join([*_named(figure), *cells]) + " |"


def prices(costs: Costs) -> Iterator[str]:
    """Yield a table of what everything costs."""
    yield "| of | replica us | database us | client us | round trips | commits | log bytes |"
    yield "|" + "---|" * 7
    for name, what in WHAT.items():
        cost = getattr(costs, name)
        if cost == Cost():  # nobody has measured it
            continue
        times = (cost.replica * 1e6, cost.database * 1e6, cost.client * 1e6)
        cells = [f"{number:,.{1 if number < 100 else 0}f}" for number in times]
        cells += [f"{cost.trips:.1f}", f"{cost.commits:.1f}", f"{cost.log:,.0f}"]
        yield f"| *{name}*: {what} | " + " | ".join(cells) + " |"


def orders(costs: Costs, load: Load, cluster: Cluster) -> Iterator[str]:
    """Yield a table of what loads take, each ten times the one before."""
    yield (
        "| runs/s | live streams | events/s | replicas | processors of PostgreSQL | commits/s | "
        "log MB/s | rings/s | fetches/s | events kept | databases |"
    )
    yield "|" + "---|" * 11
    for power in range(6):
        asked = replace(load, runs=10.0**power)
        taken = demand(asked, costs, cluster)
        servers = max(
            1,
            ceil(taken.database / (cluster.database_cores * SPARE)),
            ceil(taken.log / cluster.log_rate),
        )
        numbers = (
            asked.runs,
            asked.streams,
            asked.runs * asked.events,
            taken.replicas,
            ceil(taken.database),
            taken.commits,
            taken.log / 1e6,
            taken.notifications,
            taken.fetches,
            taken.rows,
            servers,
        )
        yield "| " + " | ".join(f"{number:,.0f}" for number in numbers) + " |"


def stages(costs: Costs, load: Load, cluster: Cluster) -> Iterator[str]:
    """Yield a table of what gives first, and what gives when that is replaced."""
    yield "| with | runs/s | live streams | events/s | replicas | then gives | instead |"
    yield "|" + "---|" * 7
    pooled = replace(cluster, is_pooled=True, connections=POOLED)
    together = replace(pooled, batching=BATCHING)
    addressed = replace(together, are_rings_addressed=True)
    for name, there in (
        ("one database, connections of their own", cluster),
        (f"a pooler with {POOLED} connections to the server", pooled),
        ("events of all runs of a replica stored together", together),
        ("rings from replica to replica", addressed),
        ("8 databases", replace(addressed, databases=8)),
        ("64 databases", replace(addressed, databases=64)),
    ):
        most, limit = capacity(load, costs, there)
        replicas = demand(replace(load, runs=most), costs, there).replicas
        numbers = (most, most * load.seconds, most * load.events, replicas)
        cells = [f"{number:,.0f}" for number in numbers]
        yield f"| {name} | " + " | ".join([*cells, limit.name, limit.instead]) + " |"


def main() -> None:
    """Print the tables."""
    known = written()
    costs = Costs.of(known["costs"])
    cluster = Cluster(CORES, costs.log_rate)
    largest = replace(
        cluster,
        is_pooled=True,
        connections=POOLED,
        batching=BATCHING,
        are_rings_addressed=True,
    )
    tables = {
        "costs": prices(costs),
        "compared": comparison(costs, known["figures"]),
        "all stored, half read elsewhere": stages(costs, AGENT, cluster),
        "and what it takes": orders(costs, AGENT, largest),
        "nothing stored": stages(costs, QUIET, cluster),
        "and what that takes": orders(costs, QUIET, largest),
    }
    for name, lines in tables.items():
        print(f"\n{name}\n")
        for line in lines:
            print(line)


if __name__ == "__main__":
    main()
