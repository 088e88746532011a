"""Measure what several replicas on one PostgreSQL do, beside what the simulation says of it.

`scripts/services.sh run -- .venv/bin/python -m benchmarks.scale.processes --costs FILE`
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from benchmarks.scale.costs import MEASURED, Costs
from benchmarks.scale.server import set_durable
from benchmarks.scale.serving import play, serving
from benchmarks.scale.simulation import Scene, Simulation

SIMULATED: Final = 20.0
"""Seconds of a simulated time."""


def predicted(costs: Costs, scene: Scene) -> dict[str, float]:
    """Return what the simulation says of a scene."""
    return asdict(Simulation(scene, costs).play(SIMULATED))


def main() -> None:
    """Measure, and print JSON, a line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--costs", type=Path, default=MEASURED)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 16])
    parser.add_argument("--events", type=int, nargs="*", default=[20])
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--durable", action="store_true")
    options = parser.parse_args()
    known = json.loads(options.costs.read_text())
    costs = Costs.of(known.get("costs", known))
    if not options.durable:
        costs = replace(costs, flush=0.0)
    for processes in options.processes:
        with serving(processes) as replicas:
            set_durable(options.durable)
            ports = replicas.ports
            warming = Scene(clients=4 * processes, events=5, is_elsewhere=options.elsewhere)
            asyncio.run(play(ports, warming, 4.0))
            for clients in options.clients:
                for events in options.events:
                    scene = Scene(
                        processes, clients, events, options.delay, is_elsewhere=options.elsewhere
                    )
                    before = replicas.usage()
                    seen = asdict(asyncio.run(play(ports, scene, options.seconds)))
                    used = replicas.usage() - before
                    said = predicted(costs, scene)
                    ratios = {name: round(said[name] / seen[name], 3) for name in seen}
                    print(
                        json.dumps(
                            {
                                "scene": asdict(scene),
                                "measured": seen,
                                "predicted": said,
                                "ratio": ratios,
                                "used": used.__dict__,
                            }
                        ),
                        flush=True,
                    )
            set_durable(False)


if __name__ == "__main__":
    main()
