"""What a run has said of things that were not stored is forgotten when another server goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import Connection, select, update

from millstream.journal import MemoryJournal
from millstream.outbox.write_ahead import Place
from millstream.server.log import holds
from millstream.server.log.run_log import Entry
from millstream.server.runs.recovery import forget_unstored
from millstream.server.runs.turns import GOES_ON
from millstream.server.storage import events, replicas, runs, tables
from millstream.server.storage.database import Database
from millstream.server.storage.run_records import End
from server.test_forgetting import add

METADATA: Any = {"source": "loop", "step": 1, "parents": {}}
FINISHED = "finished"


class Thread:
    """The thread `t`, with a checkpoint of its graph and of one that is nested in it."""

    def __init__(self) -> None:
        self.saver = MemoryJournal()
        self.ids = {ns: self._put(ns) for ns in ("", "node:1")}

    def _put(self, ns: str) -> str:
        checkpoint = empty_checkpoint()
        config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ns}}
        self.saver.put(config, checkpoint, METADATA, {})
        return checkpoint["id"]

    def checkpoint(self, ns: str) -> Place:
        """Return the checkpoint of a graph, which is stored."""
        return Place(ns, self.ids[ns])

    def task(self, ns: str, name: str) -> Place:
        """Return the end of a task, which is not stored."""
        return Place(ns, self.ids[ns], name, FINISHED)

    def finish(self, place: Place) -> None:
        """Store the end of a task."""
        at: Any = {
            "thread_id": "t",
            "checkpoint_ns": place.ns,
            "checkpoint_id": place.checkpoint_id,
        }
        self.saver.put_writes({"configurable": at}, [("seen", [1])], place.task_id)


RUN: Any = replicas.LeftRun("t", "t", 1, is_stored=True)


def wait(connection: Connection, holder: str, status: str = "pending", attempt: int = 1) -> None:
    """Have the run `t` wait for a replica that has taken it over, or go on at one."""
    stands = {"status": status, "holder": holder, "attempt": attempt}
    connection.execute(update(tables.runs).values(**stands))


def left_of(db: Database, thread: Thread, told: Sequence[tuple[str, str | None]]) -> list[int]:
    """Return which events of a run are left of which these are the modes, and what they need."""
    said = [Entry(seq, 1, mode, b"frame", needs) for seq, (mode, needs) in enumerate(told, start=1)]

    async def act() -> list[int]:
        await db.write(add, ["t"], None, 0)
        await db.write(wait, "me")
        await db.write(events.append, "t", said)
        await forget_unstored(db, thread.saver, [RUN], "me")
        return [entry.seq for entry in await db.read(events.read_from, "t", 0, 100)]

    return asyncio.run(act())


@pytest.mark.parametrize("is_protocol", [False, True])
def test_what_a_graph_has_said_is_forgotten_where_one_that_is_nested_in_it_was_quicker(
    db: Database, is_protocol: bool
) -> None:
    """With durability 'async' each stores for itself, and in its own order."""
    thread = Thread()
    stored, lost, later = thread.task("node:1", "b"), thread.task("", "a"), thread.task("", "c")
    thread.finish(stored)
    updates = "v3:updates\nnode:1" if is_protocol else "updates"
    told = [
        (updates, holds.written(thread.checkpoint(""))),
        ("messages", holds.behind(holds.written(thread.checkpoint("")))),
        (updates, holds.written(lost)),  # nobody has read it
        ("tasks", holds.behind(holds.written(lost))),  # a task of the nested graph that begins
        ("messages", holds.behind(holds.written(lost))),
        (updates, holds.written(stored)),
        (updates, holds.written(later)),
        ("messages", None),
    ]
    assert left_of(db, thread, told) == [1, 2, 4, 5, 6]


def test_what_a_nested_graph_has_stored_is_lost_with_the_graph_around_it(db: Database) -> None:
    """It is called anew, in another checkpoint."""
    thread = Thread()
    checkpoint = empty_checkpoint()
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "node:2"}}
    lost = empty_checkpoint()["id"]
    thread.saver.put(config, checkpoint, {**METADATA, "parents": {"": lost}}, {})
    nested = Place("node:2", checkpoint["id"])
    told = [
        ("values", holds.written(Place("", lost))),
        ("checkpoints", holds.behind(holds.written(Place("", lost)))),
        ("values", holds.written(nested)),
        ("tasks", holds.behind(holds.written(nested))),
    ]
    assert left_of(db, thread, told) == []


def test_a_question_that_was_answered_since_then_is_not_forgotten(db: Database) -> None:
    thread = Thread()
    place = thread.task("node:1", "b")
    thread.finish(place)
    told = [
        ("updates", holds.written(place._replace(outcome="stopped after 0 answers"))),
        ("updates", holds.written(place)),
    ]
    assert left_of(db, thread, told) == [1, 2]


def test_of_what_is_behind_a_checkpoint_nothing_is_looked_at(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = Thread()
    asked = 0
    get = thread.saver.aget_tuple

    async def count(config: Any) -> Any:
        nonlocal asked
        asked += 1
        return await get(config)

    monkeypatch.setattr(thread.saver, "aget_tuple", count)
    long_ago = [("updates", holds.written(thread.task("", f"{n}"))) for n in range(50)]
    told = [*long_ago, ("values", holds.written(thread.checkpoint("")))]
    assert left_of(db, thread, told) == list(range(1, 52))
    assert asked == 1


@pytest.mark.parametrize(
    "goes_on", [("me", "running", 2), ("other", "running", 2), ("me", "pending", 2)]
)
def test_nothing_is_forgotten_of_a_run_that_somebody_goes_on_with(
    db: Database, goes_on: tuple[str, str, int]
) -> None:
    """It was looked at, and was put back in the meantime: what it says now is being stored."""
    thread = Thread()

    async def act() -> list[int]:
        await db.write(add, ["t"], None, 0)
        await db.write(wait, *goes_on)
        said = [Entry(1, 1, "updates", b"", holds.written(thread.task("", "b")))]
        await db.write(events.append, "t", said)
        await forget_unstored(db, thread.saver, [RUN], "me")
        await db.write(replicas.put_back, [RUN], "me")
        columns = select(tables.runs.c.holder, tables.runs.c.status, tables.runs.c.attempt)
        assert await db.read(lambda connection: connection.execute(columns).one()) == goes_on
        return [entry.seq for entry in await db.read(events.read_from, "t", 0, 100)]

    assert asyncio.run(act()) == [1]


@pytest.mark.parametrize("is_uncertain", [False, True])
def test_a_run_is_put_back_when_it_is_known_which_of_its_events_count(
    db: Database, is_uncertain: bool
) -> None:
    thread = Thread()
    stored, lost = thread.task("", "a"), thread.task("", "b")
    thread.finish(stored)

    async def act() -> list[int]:
        await db.write(add, ["t"], None, 0)
        await db.write(wait, "me", "running")
        said = [Entry(1, 1, "updates", b"", holds.written(stored))]
        await db.write(events.append, "t", said)
        rest = [Entry(2, 1, "updates", b"", holds.written(lost))]
        end = End("lease_lost", unstored=rest, is_uncertain=is_uncertain)
        await db.write(runs._hand_back, "t", end)
        if is_uncertain:
            await forget_unstored(db, thread.saver, [RUN], "me")
            await db.write(replicas.put_back, [RUN], "me")
        left = await db.read(events.read_from, "t", 0, 100)
        columns = select(tables.runs.c.status, tables.runs.c.holder, tables.runs.c.turn)
        row = await db.read(lambda connection: connection.execute(columns).one())
        assert row == ("pending", None, GOES_ON)
        return [entry.seq for entry in left]

    assert asyncio.run(act()) == ([1] if is_uncertain else [1, 2])
