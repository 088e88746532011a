"""Engines of an environment of their own, each in a process that is asked for a sample a turn.

`scripts/setup-bench` makes the environment. Without it the rows lack these contenders, and a goal
that names one of them counts as not reached.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.child import ROOT, Child
from benchmarks.rows import NEOGRAPH, Contender, Kind

PYTHON: Final = ROOT / "build/bench/bin/python"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine, named like its distribution."""

    name: str
    module: str
    works: tuple[str, ...]
    """What the module can do, as `serve` in it says."""


ENGINES: Final = (
    Engine(NEOGRAPH, "neograph", ("chain", "achain", "messages", "branches", "sends")),
    Engine("apache-burr", "burr", ("chain", "achain")),
    Engine("pydantic-graph", "pydantic_graph", ("achain", "abranches", "asends")),
    Engine("llama-index-workflows", "llama_index", ("achain", "abranches")),
)


def installed() -> tuple[Engine, ...]:
    """Return the engines whose environment is there: all or none."""
    return ENGINES if PYTHON.exists() else ()


def contenders(engines: Sequence[Engine], work: str, size: int) -> tuple[Contender, ...]:
    """Return a contender for each engine that can do the work."""
    return tuple(_contender(engine, work, size) for engine in engines if work in engine.works)


def _contender(engine: Engine, work: str, size: int) -> Contender:
    child = Child(engine.name, [str(PYTHON), "-m", f"benchmarks.engines.{engine.module}"])

    def sample(count: int) -> float:
        return child.sample(work, size, count)

    return Contender(engine.name, sample, after=child.close, kind=Kind.CLOCKED)


def versions() -> dict[str, str]:
    """Return engine -> version of those that are installed."""
    names = [engine.name for engine in installed()]
    if not names:
        return {}
    code = "import importlib.metadata as m, json, sys\n"
    code += "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    done = subprocess.run([PYTHON, "-c", code, *names], stdout=subprocess.PIPE, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
