"""What it costs to forget events: rows that are deleted, or partitions that are dropped.

Runs of 100 events of 300 bytes are stored 50 at a time, as a run does that talks, and forgotten in
the order in which they came. All figures are for one event: what the server's process has used of
a processor, and the bytes of its log.
"""

from __future__ import annotations

import argparse
import json
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import psycopg

from benchmarks.scale.server import cpu_of, database, wal_of

EVENTS: Final = 100
"""Of one run."""
TOGETHER: Final = 50
"""In one transaction."""
RUNS_AT_ONCE: Final = 100
"""Whose events are deleted in one transaction."""
_RUNS: Final = """
CREATE TABLE runs (
    run_id text PRIMARY KEY, slot integer NOT NULL, ended_at text NOT NULL, body text NOT NULL
)
"""
_COLUMNS: Final = (
    "seq integer NOT NULL, ms bigint NOT NULL, mode text NOT NULL, needs text, frame bytea NOT NULL"
)
_KEY: Final = "run_id text NOT NULL REFERENCES runs ON DELETE CASCADE"
_PLAIN: Final = f"CREATE TABLE events ({_KEY}, {_COLUMNS}, PRIMARY KEY (run_id, seq))"
_PARTS: Final = (
    f"CREATE TABLE events ({_KEY}, {_COLUMNS}, slot integer NOT NULL, "
    "PRIMARY KEY (run_id, seq, slot)) PARTITION BY LIST (slot)"
)
READ: Final = 50
"""Runs of each slot that are read."""
Connection = psycopg.Connection[Any]


class Table:
    """Where events are, and how they are stored and forgotten."""

    def __init__(self, connection: Connection, slots: int, *, is_parted: bool) -> None:
        self.connection = connection
        self.is_parted = is_parted
        self.slots = slots
        self.runs: list[list[str]] = [[] for _ in range(slots)]
        connection.execute("DROP TABLE IF EXISTS events, runs CASCADE")
        connection.execute(_RUNS)
        connection.execute(_PARTS if is_parted else _PLAIN)
        if is_parted:
            for slot in range(slots):
                connection.execute(
                    f"CREATE TABLE events_{slot} PARTITION OF events FOR VALUES IN ({slot})"
                )

    def add(self, slot: int, runs: int) -> None:
        """Store the events of runs."""
        column, value = (", slot", f", {slot}") if self.is_parted else ("", "")
        query = (
            f"INSERT INTO events (run_id, seq, ms, mode, needs, frame{column}) "
            "SELECT %s::text, seq, 1700000000000 + seq, 'values', NULL, "
            f"repeat(chr(97 + seq %% 26), 300)::bytea{value} "
            "FROM generate_series(%s::int, %s::int) seq"
        )
        for _ in range(runs):
            id = str(uuid.uuid4())
            self.runs[slot].append(id)
            self.connection.execute("INSERT INTO runs VALUES (%s, %s, '', '')", (id, slot))
            for first in range(1, EVENTS + 1, TOGETHER):
                self.connection.execute(query, (id, first, first + TOGETHER - 1))

    def delete(self, slot: int) -> None:
        """Delete the events of the runs of a slot, some runs at a time."""
        ids = self.runs[slot]
        for first in range(0, len(ids), RUNS_AT_ONCE):
            self.connection.execute(
                "DELETE FROM events WHERE run_id = ANY(%s)", (ids[first : first + RUNS_AT_ONCE],)
            )

    def drop(self, slot: int) -> None:
        """Drop the partition of a slot."""
        self.connection.execute(f"DROP TABLE events_{slot}")

    def read(self, *, knows_slot: bool) -> None:
        """Read the events of runs, as somebody who comes back does."""
        chosen = " AND slot = %s" if knows_slot else ""
        query = f"SELECT * FROM events WHERE run_id = %s{chosen} AND seq > 5 ORDER BY seq LIMIT 256"
        for slot in range(self.slots):
            for id in self.runs[slot][:READ]:
                self.connection.execute(query, (id, slot) if knows_slot else (id,), prepare=True)

    def size(self) -> float:
        """Return how many MB it takes."""
        names = [f"events_{slot}" for slot in range(self.slots)] if self.is_parted else ["events"]
        total = 0
        for name in names:
            row = self.connection.execute(
                "SELECT pg_total_relation_size(to_regclass(%s))", (name,)
            ).fetchone()
            assert row is not None
            total += row[0] or 0
        return total / 1e6


def measured(connection: Connection, events: int, do: Callable[[], object]) -> dict[str, float]:
    """Return what something has cost, for one event."""
    cpu, wal, begin = cpu_of(connection), wal_of(connection), time.perf_counter()
    do()
    return {
        "CPU us": (cpu_of(connection) - cpu) / events * 1e6,
        "log bytes": (wal_of(connection) - wal) / events,
        "ms in all": (time.perf_counter() - begin) * 1e3,
    }


def show(what: str, numbers: dict[str, float]) -> None:
    """Print figures."""
    shown = {name: round(number, 2) for name, number in numbers.items()}
    print(json.dumps({"what": what, **shown}), flush=True)


def measure(table: Table, runs: int) -> None:
    """Store events, read them, and forget an eighth of them in each way that there is."""
    connection, slots, events = table.connection, table.slots, runs * EVENTS
    kind = "partitions" if table.is_parted else "one table"
    names = [f"events_{slot}" for slot in range(slots)] if table.is_parted else ["events"]
    for name in ("runs", *names):
        # It is done by hand, where it is measured.
        connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = false)")

    def add() -> None:
        for slot in range(slots):
            table.add(slot, runs)

    show(f"{kind}: storing", measured(connection, events * slots, add))
    connection.execute("ANALYZE")
    table.read(knows_slot=False)
    read = slots * READ
    cost = measured(connection, read, lambda: table.read(knows_slot=False))
    show(f"{kind}: reading a run", cost)
    if table.is_parted:
        cost = measured(connection, read, lambda: table.read(knows_slot=True))
        show(f"{kind}: reading a run of a known partition", cost)
    show(f"{kind}: size", {"MB": table.size()})
    show(f"{kind}: deleting an eighth", measured(connection, events, lambda: table.delete(0)))
    cost = measured(connection, events, lambda: connection.execute("VACUUM events"))
    show(f"{kind}: VACUUM after that", cost)
    cost = measured(connection, events, lambda: table.add(0, runs))
    show(f"{kind}: storing where that was", {**cost, "MB": table.size()})
    if table.is_parted:
        show(f"{kind}: dropping an eighth", measured(connection, events, lambda: table.drop(1)))


def main() -> None:
    """Measure, and print JSON, a line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1500, help="in each of eight slots")
    runs = parser.parse_args().runs
    slots = 8
    with database() as address:
        for is_parted in (False, True):
            # Each with statements of its own that the server has prepared.
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("SET client_min_messages = warning")
                measure(Table(connection, slots, is_parted=is_parted), runs)


if __name__ == "__main__":
    main()
