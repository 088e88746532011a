"""Servers on one PostgreSQL, their client, and what all of them use."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from benchmarks.scale.server import NAME, database
from benchmarks.scale.simulation import Figures, Scene, figures
from benchmarks.servers.client import Answer, ask, ask_well
from benchmarks.servers.launching import Running, Server, running
from benchmarks.servers.resources import memory

SERVED: Final = Path(__file__).with_name("served")
SLOTS: Final = 600
"""More than there are runs at a time: nothing here waits for one."""
_MARK: Final = b"event: custom"


@dataclass(frozen=True)
class Usage:
    """What was used until a moment, or between two."""

    replica: float
    """Seconds of a processor, as in `costs.Cost`."""
    system: float
    """Those of them that the kernel has worked for the replicas."""
    database: float
    client: float
    trips: int
    commits: int
    """Transactions that have written something."""
    log: int
    waited: float
    """Seconds for which threads of the replicas were ready, and others had the processors."""

    def __sub__(self, other: Usage) -> Usage:
        """Return what was used since another moment."""
        return Usage(*(mine - other.__dict__[name] for name, mine in self.__dict__.items()))


class Replicas:
    """Servers that answer, on one database."""

    def __init__(self, running: Sequence[Running], address: str) -> None:
        self.running = running
        self._connection: psycopg.Connection[Any] = psycopg.connect(address, autocommit=True)
        own = self._connection.info.backend_pid
        status = Path(f"/proc/{own}/status").read_text()
        [self._postmaster] = [int(x.split()[1]) for x in status.splitlines() if x[:5] == "PPid:"]

    def close(self) -> None:
        """Let go of the connection that is looked through."""
        self._connection.close()

    @property
    def ports(self) -> Sequence[int]:
        """Where they listen."""
        return [one.port for one in self.running]

    def memory(self) -> float:
        """Return how many bytes of memory the replicas have."""
        return sum(memory(one.pid) for one in self.running) * 1024 * 1024

    def connections(self) -> int:
        """Return how many connections they have to the database."""
        return len(self._sessions())

    def usage(self) -> Usage:
        """Return what was used until now."""
        row = self._connection.execute(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, "
            "pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        ).fetchone()
        assert row is not None
        replicas = [spent(one.pid) for one in self.running]
        sessions = self._sessions()
        return Usage(
            sum(each[0] for each in replicas),
            sum(_system(one.pid) for one in self.running),
            sum(spent(pid)[0] for pid in _children(self._postmaster)),
            time.process_time(),
            sum(_switches(pid) for pid in sessions),
            int(row[0]),
            int(row[1]),
            sum(each[1] for each in replicas),
        )

    def _sessions(self) -> list[int]:
        rows = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
        return [pid for (pid,) in rows]


@contextmanager
def serving(processes: int) -> Iterator[Replicas]:
    """Lend so many servers on a database that is made for them."""
    program = str(Path(sys.executable).with_name("millstream"))
    with database() as address, ExitStack() as stack:
        url = urlsplit(os.environ["MILLSTREAM_TEST_POSTGRES"])._replace(path=f"/{NAME}").geturl()

        def command(port: int) -> list[str]:
            slots = ["--workers-per-process", str(SLOTS)]
            return [program, "serve", "--port", str(port), *slots, "--database", url]

        server = Server("millstream", command)
        lent = [stack.enter_context(running(server, SERVED)) for _ in range(processes)]
        replicas = Replicas(lent, address)
        stack.callback(replicas.close)
        yield replicas


async def speak(ports: Sequence[int], scene: Scene, place: int = 0) -> Answer:
    """Have one run speak, and read it to its end; every event has to be there."""
    thread = f"/threads/{uuid4()}/runs"
    body = {
        "assistant_id": "speak",
        "input": {"count": scene.events, "delay": scene.delay, "steps": scene.supersteps},
        "config": {"recursion_limit": 10_000},
        "stream_mode": ["custom"],
        "stream_resumable": scene.is_resumable,
        "if_not_exists": "create",
    }
    here = ports[place % len(ports)]
    if not scene.is_elsewhere or len(ports) == 1:
        answer = await ask(here, "POST", f"{thread}/stream", body, mark=_MARK)
    else:
        began = time.perf_counter()
        run = await ask_well(here, "POST", thread, body)
        asked = time.perf_counter() - began
        there = ports[(place + 1) % len(ports)]
        path = f"{thread}/{run['run_id']}/stream?stream_mode=custom&last_event_id=-1"
        read = await ask(there, "GET", path, mark=_MARK)
        answer = Answer(read.status, read.data, read.first + asked, read.whole + asked)
    said = answer.count(_MARK)
    if said != scene.events or answer.count(b"event: error"):
        raise RuntimeError(f"{said} of {scene.events} events: {answer.data[-500:]!r}")
    return answer


async def play(ports: Sequence[int], scene: Scene, seconds: float) -> Figures:
    """Have clients ask for one run after the other for so long, and return what they saw."""
    answers: list[Answer] = []
    loop = asyncio.get_running_loop()
    begin = loop.time() + seconds * 0.2
    end = begin + seconds * 0.8

    async def go_on(number: int) -> None:
        while loop.time() < end:
            answer = await speak(ports, scene, number)
            if begin < loop.time() <= end:
                answers.append(answer)

    await asyncio.gather(*(go_on(number) for number in range(scene.clients)))
    firsts, wholes = [each.first for each in answers], [each.whole for each in answers]
    return figures(firsts, wholes, scene.events, end - begin)


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for children in Path(f"/proc/{pid}/task").glob("*/children")
        for child in children.read_text().split()
    ]


def spent(pid: int) -> tuple[float, float]:
    """Return the seconds for which threads of a process have run, and were kept from running."""
    ran = kept = 0
    with suppress(OSError):  # it has ended, a thread of it or all of it
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            numbers = file.read_text().split()
            ran, kept = ran + int(numbers[0]), kept + int(numbers[1])
    return ran / 1e9, kept / 1e9


def _system(pid: int) -> float:
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(numbers[12]) / os.sysconf("SC_CLK_TCK")


def _switches(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    return 0
