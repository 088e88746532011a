"""What NOTIFY costs whoever commits: pgbench with and without it, and the doorbell beside it.

A notification takes a lock of the whole server from before its transaction is committed to behind
that, so commits that have one wait for each other. Transactions here store one event each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import conninfo

from benchmarks.scale.server import database, set_durable
from millstream.server.doorbell.doorbell import Doorbell
from millstream.server.doorbell.news import News

INSERT: Final = (
    "INSERT INTO events VALUES (:client_id, nextval('events_seq'), repeat('x', 300)::bytea)"
)
SCRIPTS: Final = {
    "no NOTIFY": f"{INSERT};\n",
    "NOTIFY in each transaction": f"BEGIN;\n{INSERT};\nNOTIFY millstream, 'events';\nEND;\n",
    "no NOTIFY, in BEGIN and END": f"BEGIN;\n{INSERT};\nSELECT 1;\nEND;\n",
}


def pgbench(address: str, script: str, clients: int, seconds: int, rate: int = 0) -> dict[str, Any]:
    """Return what pgbench says of a script."""
    options: dict[str, Any] = conninfo.conninfo_to_dict(address)
    binary = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), default=Path("pgbench"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "script.sql")
        file.write_text(script)
        command = [
            *(str(binary), "-n", "-M", "prepared", "-f", str(file), "-T", str(seconds)),
            *("-c", str(clients), "-j", "1", "-h", options["host"], "-p", options["port"]),
            *("-U", options["user"], *(("-R", str(rate)) if rate else ()), options["dbname"]),
        ]
        environment = {"PGPASSWORD": options["password"], "PATH": "/usr/bin:/bin"}
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    numbers = {
        name: float(found[1])
        for name, pattern in (
            ("tps", r"tps = ([\d.]+)"),
            ("latency ms", r"latency average = ([\d.]+)"),
        )
        if (found := re.search(pattern, told.stdout))
    }
    return numbers


async def doorbell(
    address: str, rings: int, seconds: float, redis: str | None = None
) -> dict[str, float]:
    """Ring so often a second for one replica, and say what another one hears."""
    delays: list[float] = []
    rung: dict[str, float] = {}
    are_there = [asyncio.Event(), asyncio.Event()]

    def hear(news: News) -> None:
        now = time.perf_counter()
        ids = news.ids("events")
        delays.extend(now - rung[id] for id in ids or () if id in rung)
        note(news)

    def note(_: News) -> None:
        # By the database and by redis, which both say when they listen.
        for bell, event in zip((one, other), are_there, strict=True):
            if bell.is_listening:
                event.set()

    one, other = (Doorbell(address, heard, redis=redis) for heard in (note, hear))
    for bell in (one, other):
        await bell.start()
    for event in are_there:
        await event.wait()
    sent, received = one.sent, other.received
    cpu, begin = time.process_time(), time.perf_counter()
    count = 0
    # 40 runs that say something, as events are committed: each rings by its name.
    while (now := time.perf_counter()) - begin < seconds:
        while count < rings * (now - begin):
            run = f"run-{count % 40:032}"
            rung[run] = time.perf_counter()
            one.ring("events", run)
            count += 1
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.2)
    used = time.process_time() - cpu
    taken = time.perf_counter() - begin
    for bell in (one, other):
        await bell.close()
    delays.sort()
    return {
        "rings/s": count / taken,
        "notifications/s": (one.sent - sent) / taken,
        "heard/s": (other.received - received) / taken,
        "p50 ms": delays[len(delays) // 2] * 1000,
        "p99 ms": delays[len(delays) * 99 // 100] * 1000,
        "CPU of both and the test": used / taken,
    }


def beside(address: str, clients: int, seconds: int, per_second: int) -> dict[str, Any]:
    """Return what pgbench says while one connection notifies so often a second."""
    program = (
        "import psycopg, sys, time\n"
        "address, rate = sys.argv[1], float(sys.argv[2])\n"
        "with psycopg.connect(address, autocommit=True) as connection:\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        connection.execute(\"SELECT pg_notify('millstream', 'events')\")\n"
        "        time.sleep(1 / rate)\n"
    )
    import sys

    command = [sys.executable, "-c", program, address, str(per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            return pgbench(address, SCRIPTS["no NOTIFY"], clients, seconds)
        finally:
            process.kill()


def listening(address: str, count: int) -> Sequence[Any]:
    """Return connections that listen, as replicas have them; nobody reads them."""
    made = [psycopg.connect(address, autocommit=True) for _ in range(count)]
    for connection in made:
        connection.execute("LISTEN millstream")
    return made


def main() -> None:
    """Measure, and print JSON, a line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--redis", help="also ring by way of this server")
    options = parser.parse_args()
    with database() as address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE SEQUENCE events_seq CACHE 100")
            connection.execute(
                "CREATE TABLE events (run int, seq bigint, frame bytea, PRIMARY KEY (run, seq))"
            )
            for is_durable in (False, True):
                set_durable(is_durable)
                for clients in options.clients:
                    best: dict[str, float] = {}
                    for _ in range(options.rounds):
                        for name, script in SCRIPTS.items():
                            found = pgbench(address, script, clients, options.seconds)["tps"]
                            best[name] = max(best.get(name, 0), found)
                        for rate in (300,):
                            found = beside(address, clients, options.seconds, rate)["tps"]
                            name = f"no NOTIFY, {rate} a second beside it"
                            best[name] = max(best.get(name, 0), found)
                        connection.execute("TRUNCATE events")
                    shown = {name: round(tps) for name, tps in best.items()}
                    print(json.dumps({"disk": is_durable, "clients": clients, "tps": shown}))
            set_durable(False)
        for rings in (100, 1000, 10_000):
            for redis in (None, options.redis) if options.redis else (None,):
                found_by = asyncio.run(doorbell(address, rings, options.seconds, redis))
                shown_by = {name: round(number, 2) for name, number in found_by.items()}
                by = "database" if redis is None else "redis"
                print(json.dumps({"rings/s wanted": rings, "by": by, **shown_by}))


if __name__ == "__main__":
    main()
