"""Whether it is stored what a run has told of a task: more than once something is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from millstream.journal import MemoryJournal
from millstream.outbox.write_ahead import Place, outcome_of
from millstream.server.log import holds
from millstream.server.runs.recovery import is_stored

ASKED: Any = ("__interrupt__", ["what?"])
ANSWERED: Any = ("__resume__", ["this"])
FAILED: Any = ("__error__", "oh")
NOTHING: Any = ("__no_writes__", None)
WRITTEN: Any = ("seen", [1])


@pytest.mark.parametrize(
    ("stored", "true"),
    [
        ([[]], None),
        ([[ASKED]], [ASKED]),
        ([[FAILED]], [FAILED]),
        ([[ASKED], [ANSWERED, ASKED]], [ANSWERED, ASKED]),
        ([[ASKED], [ANSWERED, WRITTEN]], [ANSWERED, WRITTEN]),
        ([[ASKED], [ANSWERED, NOTHING]], [WRITTEN]),
    ],
    ids=["nothing", "asked", "failed", "asked again", "finished", "finished without writes"],
)
def test_a_task_that_was_told_of_is_stored_if_that_came_of_it(
    stored: list[list[Any]], true: list[Any] | None
) -> None:
    saver = MemoryJournal()
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "a:1"}}
    checkpoint = empty_checkpoint()
    place = saver.put(config, checkpoint, {"source": "loop", "step": 1, "parents": {}}, {})
    for writes in filter(None, stored):
        saver.put_writes(place, writes, "task")

    def told(writes: list[Any]) -> bool:
        of = Place("a:1", checkpoint["id"], "task", outcome_of(writes))
        return asyncio.run(is_stored(saver, "t", holds.read(holds.written(of))))

    outcomes = [[ASKED], [ANSWERED, ASKED], [ANSWERED, WRITTEN]]
    # What is stored of one that has got on was stored before of where it has been.
    passed = (
        0 if true is None else [outcome_of(each) for each in outcomes].index(outcome_of(true)) + 1
    )
    assert [told(each) for each in outcomes] == [place < passed for place in range(3)]
    # Servers of before have noted nothing of what came of it.
    of = Place("a:1", checkpoint["id"], "task")
    assert asyncio.run(is_stored(saver, "t", of)) == (true is not None)
