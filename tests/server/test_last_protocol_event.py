"""The numbers of a thread's protocol events go on from the last one that is stored."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection, insert

from millstream.server.log.run_log import PROTOCOL, Entry
from millstream.server.storage import events
from millstream.server.storage.database import Database
from millstream.server.storage.tables import runs, threads

LONG_AGO = "2026-01-01"


def add(connection: Connection, thread_id: str, said: dict[str, list[tuple[int, str]]]) -> None:
    """Add a thread whose runs have said these modes, at these times."""
    fixed = {"created_at": LONG_AGO, "updated_at": LONG_AGO, "metadata": {}}
    thread = {"thread_id": thread_id, "status": "idle", "state_updated_at": LONG_AGO, "config": {}}
    connection.execute(insert(threads).values(**fixed, **thread))
    for name, entries in said.items():
        run = {"run_id": name, "thread_id": thread_id, "assistant_id": "a", "status": "success"}
        connection.execute(
            insert(runs).values(**fixed, **run, multitask_strategy="enqueue", kwargs={})
        )
        told = [
            Entry(seq, ms, mode, f"{name} {seq}".encode())
            for seq, (ms, mode) in enumerate(entries, 1)
        ]
        events.append(connection, name, told)


def last(db: Database, thread_id: str) -> bytes | None:
    return asyncio.run(db.read(events.last_protocol_frame, thread_id))


def test_the_last_protocol_event_of_a_thread_is_that_with_the_greatest_id(db: Database) -> None:
    values, protocol = "values", f"{PROTOCOL}values\n"
    asyncio.run(
        db.write(
            add,
            "many",
            {
                "z first": [(1, protocol), (2, protocol), (3, values)],
                "second": [(4, protocol), (9, protocol), (9, protocol), (20, values)],
                "a third": [(5, protocol), (8, protocol)],
                "silent": [],
                "other": [(30, values)],
            },
        )
    )
    asyncio.run(db.write(add, "another", {"its": [(99, protocol)]}))
    asyncio.run(db.write(add, "none", {"plain": [(99, values)]}))

    assert last(db, "many") == b"second 3"
    assert last(db, "another") == b"its 1"
    assert last(db, "none") is None
    assert last(db, "nowhere") is None
