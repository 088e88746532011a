"""Threads that are deleted: what runs on them ends first, and their checkpoints go with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from millstream.server.errors import ApiError
from millstream.server.storage import changes, threads
from millstream.server.storage.containment import Filters

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.server.runs.run_loop import RunLoop
    from millstream.server.runs.scheduler import Scheduler
    from millstream.server.storage.database import Database


class Holder(Protocol):
    """What threads are made of: of a server this is its service."""

    db: Database
    scheduler: Scheduler
    run_loop: RunLoop
    journal: BaseCheckpointSaver[Any]


async def delete_thread(
    service: Holder, thread_id: str, filters: Filters | None = None, *, may_be_gone: bool = True
) -> bool:
    """Delete a thread; return whether it was there.

    Its row goes last: until then it can be deleted again, whatever happens in between; the next
    process does so.
    """
    begin = partial(changes.begin, thread_id=thread_id, kind="removal")
    try:
        await service.db.read(threads.metadata_of, thread_id, filters)
        await service.scheduler.changes.during(
            thread_id, begin, lambda _: remove(service, thread_id, filters)
        )
    except ApiError as error:
        if error.status == 404 and may_be_gone:
            return False
        raise
    return True


async def remove(service: Holder, thread_id: str, filters: Filters | None = None) -> None:
    """Delete a thread of which it is noted that nothing may be left."""
    is_gone = False
    while not is_gone:
        known = await service.db.read(threads.run_ids, thread_id)
        cancelled = await service.scheduler.cancel("interrupted", thread_id=thread_id)
        await service.scheduler.stopped([run.run_id for run in cancelled])
        await service.run_loop.call(service.journal.adelete_thread(thread_id))
        # Not if somebody has begun a run meanwhile: that one ends, too.
        is_gone = await service.db.write(threads.delete, thread_id, filters, known)
