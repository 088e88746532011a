"""What a server on PostgreSQL costs beside one on files: the same load on both, in turns.

There are three: files, PostgreSQL that does not wait for its disk, as files do not, and PostgreSQL
that does. Each round plays every load on one after the other, so that what else the machine does
meets all of them. Prints a row of a table for each figure: files, and by how much others differ.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

from benchmarks.scale.server import set_durable
from benchmarks.scale.serving import Replicas, serving, spent
from benchmarks.servers.client import ask, ask_well
from benchmarks.servers.launching import Running, Server, running
from benchmarks.servers.scenes import percentile

FILES: Final = "files"
POSTGRES: Final = "PostgreSQL"
WAITING: Final = "PostgreSQL, waits for its disk"
TOGETHER: Final = 16
SERVED: Final = Path(__file__).with_name("served")
_MARK: Final = b"event: custom"
Samples: TypeAlias = dict[str, list[float]]


@dataclass(frozen=True)
class Size:
    """How much of everything, in one round."""

    firsts: int = 40
    runs: int = 200
    events: int = 3_000
    threads: int = 10_000
    searches: int = 20


@dataclass(frozen=True)
class Kept:
    """A server and where it keeps everything."""

    name: str
    port: int
    usage: Callable[[], float]
    """The seconds of processors that it and its database have used."""


async def speak(port: int, events: int, *, is_resumable: bool = False) -> tuple[float, float]:
    """Have one run speak; return after how many seconds its first event came, and its end."""
    body = {
        "assistant_id": "speak",
        "input": {"count": events, "delay": 0, "steps": 1},
        "stream_mode": ["custom"],
        "stream_resumable": is_resumable,
        "if_not_exists": "create",
    }
    answer = await ask(port, "POST", f"/threads/{uuid4()}/runs/stream", body, mark=_MARK)
    if answer.count(_MARK) != events or answer.count(b"event: error"):
        raise RuntimeError(f"{answer.count(_MARK)} of {events} events: {answer.data[-500:]!r}")
    return answer.first, answer.whole


async def first_events(kept: Kept, size: Size) -> Samples:
    """One short run after the other."""
    found = [await speak(kept.port, 1) for _ in range(size.firsts)]
    return {"first event, ms": [first * 1e3 for first, _ in found]}


async def tiny_runs(kept: Kept, size: Size) -> Samples:
    """Many runs of a tiny graph, some at a time, each on a thread of its own."""
    left = iter(range(size.runs))
    body = {
        "assistant_id": "speak",
        "input": {"count": 0, "delay": 0, "steps": 1},
        "if_not_exists": "create",
    }

    async def go_on() -> None:
        for _ in left:
            await ask_well(kept.port, "POST", f"/threads/{uuid4()}/runs/wait", body)

    clock = asyncio.get_running_loop().time
    began, used = clock(), kept.usage()
    await asyncio.gather(*(go_on() for _ in range(TOGETHER)))
    return {
        "runs a second, 16 at a time": [size.runs / (clock() - began)],
        "processor of a run, ms": [(kept.usage() - used) / size.runs * 1e3],
    }


async def plain_events(kept: Kept, size: Size) -> Samples:
    """One run that says much, to who listens now."""
    return await _events(kept, size, "plain", is_resumable=False)


async def resumable_events(kept: Kept, size: Size) -> Samples:
    """The same, kept for who comes back."""
    return await _events(kept, size, "resumable", is_resumable=True)


async def _events(kept: Kept, size: Size, name: str, *, is_resumable: bool) -> Samples:
    used = kept.usage()
    _, whole = await speak(kept.port, size.events, is_resumable=is_resumable)
    return {
        f"events a second, {name} stream": [size.events / whole],
        f"processor of an event, {name} stream, us": [(kept.usage() - used) / size.events * 1e6],
    }


async def make_threads(kept: Kept, size: Size) -> None:
    """Make the threads that are looked for."""
    left = iter(range(size.threads))

    async def go_on() -> None:
        for number in left:
            metadata = {"number": number, "owner": f"user {number % 500}", "graph_id": "speak"}
            await ask_well(kept.port, "POST", "/threads", {"metadata": metadata})

    await asyncio.gather(*(go_on() for _ in range(TOGETHER)))


async def searches(kept: Kept, size: Size) -> Samples:
    """Look for threads among many."""
    asked: dict[str, dict[str, Any]] = {
        "one of 10,000 by its metadata": {"metadata": {"number": size.threads // 2}},
        "an owner's 20, and their count": {"metadata": {"owner": "user 7"}},
        "the newest ten of all": {"metadata": {"graph_id": "speak"}},
    }
    clock = asyncio.get_running_loop().time
    found: Samples = {}
    for name, wanted in asked.items():
        taken = found[f"search: {name}, ms"] = []
        for _ in range(size.searches):
            began = clock()
            await ask_well(kept.port, "POST", "/threads/search", {**wanted, "limit": 10})
            taken.append((clock() - began) * 1e3)
    return found


Load: TypeAlias = Callable[[Kept, Size], Awaitable[Samples]]
LOADS: Final[tuple[Load, ...]] = (first_events, tiny_runs, plain_events, resumable_events)


def play(places: list[Kept], loads: tuple[Load, ...], size: Size) -> Iterator[tuple[str, Samples]]:
    """Play each load on each server in turn."""
    for load in loads:
        for kept in places:
            set_durable(kept.name == WAITING)
            yield kept.name, asyncio.run(_played(load, kept, size))
    set_durable(False)


async def _played(load: Load, kept: Kept, size: Size) -> Samples:
    return await load(kept, size)


@contextmanager
def servers() -> Iterator[list[Kept]]:
    """Lend a server on files, and one on PostgreSQL, which counts twice."""
    program = str(Path(sys.executable).with_name("millstream"))

    def command(port: int) -> list[str]:
        return [program, "serve", "--port", str(port), "--workers-per-process", "200"]

    with running(Server("files", command), SERVED) as files, serving(1) as replicas:
        yield [
            Kept(FILES, files.port, lambda: spent(files.pid)[0]),
            *(
                Kept(name, replicas.ports[0], lambda: _used(replicas, replicas.running[0]))
                for name in (POSTGRES, WAITING)
            ),
        ]


def _used(replicas: Replicas, server: Running) -> float:
    return replicas.usage().database + spent(server.pid)[0]


def rows(measured: dict[str, Samples]) -> Iterator[str]:
    """Return the rows of a table: what files do, and how many times that others do."""
    for name, known in measured[FILES].items():
        for told, value in _figures(name):
            files = value(known)
            ratios = [value(measured[other][name]) / files for other in (POSTGRES, WAITING)]
            yield f"| {told} | {files:,.3g} | {ratios[0]:.2f} | {ratios[1]:.2f} |"


def _figures(name: str) -> Iterator[tuple[str, Callable[[list[float]], float]]]:
    if name.startswith("first event"):
        yield f"{name}, p50", statistics.median
        yield f"{name}, p99", lambda values: percentile(values, 0.99)
    else:
        yield name, statistics.median


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=Size.threads)
    given = parser.parse_args()
    size = Size(threads=given.threads)
    measured: dict[str, Samples] = {name: {} for name in (FILES, POSTGRES, WAITING)}

    def note(name: str, found: Samples) -> None:
        for figure, values in found.items():
            measured[name].setdefault(figure, []).extend(values)

    began = os.getloadavg()[0]
    with servers() as places:
        for _ in play(places, LOADS, Size(firsts=10, runs=50, events=300)):
            pass  # what is slow at first does not count
        for _ in range(given.rounds):
            for name, found in play(places, LOADS, size):
                note(name, found)
        for kept in places[:2]:
            asyncio.run(make_threads(kept, size))
        for _ in range(given.rounds):
            for name, found in play(places, (searches,), size):
                note(name, found)
    print(f"load before and after: {began:.1f}, {os.getloadavg()[0]:.1f}")
    print("| | files | PostgreSQL | PostgreSQL that waits for its disk |")
    print("|---|---|---|---|")
    for row in rows(measured):
        print(row)


if __name__ == "__main__":
    main()
