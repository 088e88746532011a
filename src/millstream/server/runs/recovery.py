"""What is left of a run whose process has ended: events that nobody has read, and never will.

An event that tells of something which was not stored was not shown (`log.holds`). Another attempt
says it, or something else; in the same place, because whoever reads on knows nothing of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from millstream.server.log import holds
from millstream.server.storage import events

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.outbox.write_ahead import Place
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")


async def forget_unstored(db: Database, saver: BaseCheckpointSaver[Any]) -> None:
    """Forget what runs have said, which nobody carries out, of things that were not stored."""
    for run_id, thread_id in await db.read(events.running):
        try:
            last = await _last_stored(db, saver, run_id, thread_id)
        except Exception:  # whatever somebody's saver raises
            logger.exception("what run %s has said cannot be compared with its state", run_id)
            continue
        await db.write(events.forget_needing, run_id, last)


async def _last_stored(
    db: Database, saver: BaseCheckpointSaver[Any], run_id: str, thread_id: str
) -> int:
    """Return the last event of a run of which it is known that what it tells of is stored."""
    # What a run stores it stores in one order, so that the last one is soon found.
    for text, seq in await db.read(events.needs, run_id):
        if await is_stored(saver, thread_id, holds.read(text)):
            return seq
    return 0


async def is_stored(saver: BaseCheckpointSaver[Any], thread_id: str, place: Place) -> bool:
    """Say whether something is stored of a thread."""
    configurable = {
        "thread_id": thread_id,
        "checkpoint_ns": place.ns,
        "checkpoint_id": place.checkpoint_id,
    }
    found = await saver.aget_tuple({"configurable": configurable})
    if found is None or not place.task_id:
        return found is not None
    return any(task_id == place.task_id for task_id, *_ in found.pending_writes or ())
