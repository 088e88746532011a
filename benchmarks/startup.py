"""What it costs to begin: importing, and the command. Every sample is a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.rows import (
    FLOOR,
    LANGGRAPH,
    MILLSTREAM,
    Contender,
    Group,
    Kind,
    Row,
    added,
    ceiling,
)

IMPORTS: Final = {
    MILLSTREAM: "millstream.graph",
    LANGGRAPH: "langgraph.graph",
    # `import langchain_core.runnables` by itself is lazy, and loads next to nothing.
    FLOOR: "langchain_core.runnables.base",
}
PROCESSES: Final = 5
"""How many there are for a reading."""
COMMAND: Final = str(Path(sys.executable).with_name("millstream"))


def groups(imports: Mapping[str, str] = IMPORTS, times: int = PROCESSES) -> list[Group]:
    """Return the groups of this area."""
    title = f"import {imports[MILLSTREAM]}"
    importing = tuple(
        Contender(name, importer(module, times), kind=Kind.SOLO) for name, module in imports.items()
    )
    return [
        Group(
            f"imports in fresh processes; floor = {imports[FLOOR]} alone",
            (Row(title, "process", 1, importing, (added(title, 30, "ms"),), "ms"),),
        ),
        Group(
            "commands; floor = Python alone",
            (_command("--help", times), _command("-V", times)),
        ),
    ]


def _command(option: str, times: int) -> Row:
    contenders = (
        Contender(MILLSTREAM, process(times, COMMAND, option), kind=Kind.SOLO),
        Contender(FLOOR, process(times, sys.executable, "-c", "pass"), kind=Kind.SOLO),
    )
    return Row(f"millstream {option}", "process", 1, contenders, (ceiling(150, "ms"),), "ms")


def importer(module: str, times: int) -> Callable[[int], float]:
    """Return what imports the module in a new process; milliseconds, without Python's own start."""
    code = "from time import perf_counter as now; started = now()\n"
    code += f"import {module}\nprint((now() - started) * 1000)"

    return _after_once(lambda: float(_run(sys.executable, "-c", code)), times)


def process(times: int, *command: str) -> Callable[[int], float]:
    """Return what starts the command and waits for its end; milliseconds."""

    def read() -> float:
        started = time.perf_counter()
        _run(*command)
        return (time.perf_counter() - started) * 1000

    return _after_once(read, times)


def _after_once(read: Callable[[], float], times: int) -> Callable[[int], float]:
    """Return the gauge, which reads once for nothing: from then on there is bytecode.

    Then it is the least of several processes: what is said of these rows are differences of a few
    hundredths, and three processes, as there are readings, do not tell them from what else goes on.
    """
    is_first = True

    def gauge(_: int) -> float:
        nonlocal is_first
        if is_first:
            is_first = False
            read()
        return min(read() for _ in range(times))

    return gauge


def _run(*command: str) -> str:
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
