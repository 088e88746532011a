"""Measure Agent Servers: `python -m benchmarks.servers [--quick] [SCENE]...`.

Everything at full length becomes benchmarks/SERVER.md; what is quick, or not all of it, becomes the
same in build/benchmarks. A server whose environment is not there is left out, and named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.console import Console

from benchmarks import machine
from benchmarks.child import ROOT
from benchmarks.servers.launching import ENVIRONMENTS, MILLSTREAM, SERVERS, SLOTS, Server, running
from benchmarks.servers.page import page
from benchmarks.servers.scenes import FULL, QUICK, SCENES, Numbers, Size
from benchmarks.servers.table import misses

PAGE: Final = ROOT / "benchmarks" / "SERVER.md"
PARTS: Final = ROOT / "build" / "benchmarks" / "SERVER.md"
LONGEST_SCENE: Final = 300.0
"""Seconds that a server has for a scene."""
console = Console(highlight=False)


def measure(server: Server, names: Sequence[str], size: Size) -> Numbers:
    """Run scenes, each with a server just started; one that fails is told and left out."""
    numbers: Numbers = {}
    for name in names:
        try:
            with running(server) as started:
                found = asyncio.run(asyncio.wait_for(SCENES[name](started, size), LONGEST_SCENE))
        except asyncio.TimeoutError:
            console.print(f"{server.name}, {name}: not done in {LONGEST_SCENE:.0f} s", markup=False)
            continue
        except (RuntimeError, OSError, asyncio.IncompleteReadError) as error:
            console.print(f"{server.name}, {name}: {error}", markup=False)
            continue
        numbers |= found
        shown = ", ".join(f"{key} {value:,.4g}" for key, value in found.items())
        console.print(f"{server.name}: {shown}", markup=False)
    return numbers


PACKAGES: Final = {
    "reference": ("langgraph-api", "langgraph", "langgraph-cli"),
    "aegra": ("aegra-api",),
}


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for environment, names in PACKAGES.items():
        python = ENVIRONMENTS / environment / "bin" / "python"
        if not python.exists():
            continue
        program = (
            "import json; from importlib.metadata import version;"
            f"print(json.dumps({{name: version(name) for name in {names}}}))"
        )
        done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
        found |= json.loads(done.stdout)
    return found


def main() -> int:
    """Measure, tell, and write the page; return 1 if a goal is missed and that was asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.servers", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of {', '.join(SCENES)}")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument(
        "--thread-bytes", type=int, help="how large threads are that are looked for"
    )
    given = parser.parse_args()
    if unknown := set(given.scenes) - set(SCENES):
        parser.error(f"no scene is called {', '.join(sorted(unknown))}")
    names, size = given.scenes or list(SCENES), QUICK if given.quick else FULL
    if given.thread_bytes:
        size = replace(size, thread_bytes=given.thread_bytes)
    facts = machine.facts()
    measured: dict[str, Numbers] = {}
    for server in SERVERS:
        if server.is_installed:
            measured[server.name] = measure(server, names, size)
        else:
            console.print(f"{server.name} is not installed in {ENVIRONMENTS}, and left out")
    facts["load after"] = machine.load()
    facts["versions"] = {MILLSTREAM.name: facts["versions"]["millstream"], **_versions()}
    target = PAGE if size is FULL and not given.scenes else PARTS
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(facts, size, SLOTS, measured), encoding="utf-8")
    missed = list(misses(size, measured))
    for text in missed:
        console.print(f"missed: {text}", markup=False)
    console.print(f"Wrote {target.relative_to(ROOT)}", markup=False)
    return 1 if given.strict and missed else 0


if __name__ == "__main__":
    sys.exit(main())
