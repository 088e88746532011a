"""Measure what several replicas on one PostgreSQL do, to be compared with the simulation.

`scripts/services.sh run -- .venv/bin/python -m benchmarks.scale.processes` writes it into the file
that has the costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.scale.costs import MEASURED, written
from benchmarks.scale.server import set_durable
from benchmarks.scale.serving import Replicas, play, serving
from benchmarks.scale.simulation import Scene

SCENES: Final = tuple(
    Scene(clients=clients, events=events) for clients in (1, 16) for events in (1, 20, 100)
)
WAITING: Final = tuple(Scene(clients=clients, events=20) for clients in (1, 16))
"""What is also measured where commits wait for the disk."""


def measure(
    replicas: Replicas, scenes: tuple[Scene, ...], seconds: float
) -> Iterator[dict[str, Any]]:
    """Play scenes, and return what clients have seen of each, and what was used for it."""
    for scene in scenes:
        before = replicas.usage()
        seen = asyncio.run(play(replicas.ports, scene, seconds))
        used = replicas.usage() - before
        yield {"scene": asdict(scene), "seen": asdict(seen), "used": used.__dict__}


def main() -> None:
    """Measure, print a line of JSON for each scene, and write them down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=Path, default=MEASURED)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--elsewhere", action="store_true", help="read at another replica")
    options = parser.parse_args()
    found = []
    for processes in options.processes:
        with serving(processes) as replicas:
            for is_durable, scenes in ((False, SCENES), (True, WAITING)):
                there = tuple(
                    replace(scene, processes=processes, is_elsewhere=options.elsewhere)
                    for scene in scenes
                )
                set_durable(is_durable)
                if not is_durable:
                    warming = replace(there[0], clients=4 * processes, events=5)
                    asyncio.run(play(replicas.ports, warming, 4.0))
                for figure in measure(replicas, there, options.seconds):
                    print(json.dumps({"is_durable": is_durable, **figure}), flush=True)
                    found.append({"is_durable": is_durable, **figure})
            set_durable(False)
    known = written(options.to)
    kept = [
        figure
        for figure in known.get("figures", ())
        if (figure["scene"]["processes"], figure["scene"]["is_elsewhere"])
        not in [(processes, options.elsewhere) for processes in options.processes]
    ]
    options.to.write_text(json.dumps({**known, "figures": [*kept, *found]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
