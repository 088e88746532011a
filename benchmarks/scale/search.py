"""What an index of metadata costs each run, and what it saves those who look for threads.

Threads are changed as a run does: its status, twice, and what it has left. All figures of storing
are for one run: what the server's process has used of a processor, and the bytes of its log. Those
of looking are milliseconds, the median of some.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from benchmarks.scale.server import cpu_of, database, wal_of
from millstream.server.storage.postgres import PostgresDatabase
from millstream.server.storage.postgres_engine import Address

INDEX: Final = "ix_threads_metadata"
WAYS: Final = {
    "no index": None,
    "index, list of 4 MB": "",
    "index, list of 64 kB": " WITH (gin_pending_list_limit = 64)",
    "index, no list": " WITH (fastupdate = off)",
}
"""How what is new comes into the index: by a list that is sorted in when it is long, or at once."""
OWNERS: Final = 1000
LOOKS: Final = 30
Connection = psycopg.Connection[Any]
FILL: Final = """
INSERT INTO threads (thread_id, status, created_at, updated_at, state_updated_at, metadata,
    config, "values")
SELECT gen_random_uuid()::text, 'idle', time, time, time,
    jsonb_build_object('graph_id', 'agent', 'owner', 'user ' || n %% %s, 'number', n,
        'assistant_id', md5((n %% 10)::text), 'title', md5(n::text)),
    '{}', json_build_object('text', repeat(md5(n::text), 10))
FROM generate_series(1, %s) AS n, to_char(timestamp '2026-01-01' + n * interval '1 second',
    'YYYY-MM-DD"T"HH24:MI:SS.US+00:00') AS time
"""
BUSY: Final = "UPDATE threads SET status = 'busy', updated_at = %s WHERE thread_id = %s"
DONE: Final = (
    "UPDATE threads SET status = 'idle', updated_at = %s, state_updated_at = %s, \"values\" = %s "
    "WHERE thread_id = %s"
)
LOOKED_FOR: Final = {
    "one thread": {"number": 77},
    "an owner's": {"owner": "user 5"},
    "an assistant's": {"assistant_id": "c4ca4238a0b923820dcc509a6f75849b"},
    "all": {"graph_id": "agent"},
    "none": {"owner": "nobody"},
}
SEARCH: Final = (
    "SELECT thread_id FROM threads WHERE is_temporary = false AND metadata @> %s::jsonb "
    "ORDER BY created_at DESC, thread_id DESC LIMIT 10"
)
COUNT: Final = "SELECT count(*) FROM threads WHERE is_temporary = false AND metadata @> %s::jsonb"


def run(connection: Connection, ids: list[str], count: int) -> list[float]:
    """Change threads as runs do; return how long each took."""
    value = json.dumps({"text": "x" * 320})
    taken = []
    for number in range(count):
        began = time.perf_counter()
        id, at = ids[number % len(ids)], f"2026-11-29T{number:020}"
        connection.execute(BUSY, (at, id), prepare=True)
        connection.execute(DONE, (at, at, value, id), prepare=True)
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def timed(call: Callable[[], object]) -> float:
    """Return the median of the milliseconds of a call."""
    taken = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def looked(connection: Connection) -> dict[str, float]:
    """Return how long it takes to look for threads, and to count them."""
    found = {}
    for name, wanted in LOOKED_FOR.items():
        text = json.dumps(wanted)
        found[name] = timed(lambda text=text: connection.execute(SEARCH, (text,)).fetchall())
        found[f"count {name}"] = timed(lambda text=text: connection.execute(COUNT, (text,)))
    return found


def show(what: str, numbers: dict[str, float]) -> None:
    """Print figures."""
    shown = {name: round(number, 3) for name, number in numbers.items()}
    print(json.dumps({"what": what, **shown}), flush=True)


def measure(connection: Connection, name: str, options: str | None, threads: int) -> None:
    """Fill the table, and measure one way to have the index."""
    connection.execute("SET search_path = millstream")
    connection.execute(f"DROP INDEX IF EXISTS {INDEX}")
    connection.execute(FILL, (OWNERS, threads))
    if options is not None:
        began = time.perf_counter()
        connection.execute(
            f"CREATE INDEX {INDEX} ON threads USING gin (metadata jsonb_path_ops)"
            f"{options} WHERE is_temporary = false"
        )
        show(f"{name}: making it", {"s": time.perf_counter() - began})
    connection.execute("VACUUM ANALYZE threads")
    show(f"{name}: looking", looked(connection))
    rows = connection.execute("SELECT thread_id FROM threads ORDER BY 1").fetchall()
    ids = [row[0] for row in rows]
    run(connection, ids, 200)
    cpu, wal = cpu_of(connection), wal_of(connection)
    taken = sorted(run(connection, ids, threads))
    cost = {
        "CPU us": (cpu_of(connection) - cpu) / threads * 1e6,
        "log bytes": (wal_of(connection) - wal) / threads,
        "ms p50": taken[threads // 2],
        "ms p99": taken[threads * 99 // 100],
    }
    show(f"{name}: storing", cost)
    show(f"{name}: looking while much is new", looked(connection))


def main() -> None:
    """Measure, and print JSON, a line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=10_000, help="each has one run")
    given = parser.parse_args()
    for name, options in WAYS.items():
        with database() as address:
            PostgresDatabase(Address(address)).close()
            with psycopg.connect(address, autocommit=True) as connection:
                measure(connection, name, options, given.threads)


if __name__ == "__main__":
    main()
