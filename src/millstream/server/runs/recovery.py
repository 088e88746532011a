"""What is left when a process ends: of its runs, and of what it was doing to threads.

Of a run there are events that nobody has read, and never will: one that tells of something which
was not stored was not shown (`log.holds`). Another attempt says it, or something else; in the same
place, because whoever reads on knows nothing of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from millstream.outbox.write_ahead import has_come_to, outcome_of
from millstream.server.log import holds
from millstream.server.storage import changes, events, replicas, threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.outbox.write_ahead import Place
    from millstream.server.runs.runner import Runner
    from millstream.server.storage.database import Database
    from millstream.server.storage.replicas import LeftRun

logger = logging.getLogger("millstream.server")


async def forget_unstored(
    db: Database, saver: BaseCheckpointSaver[Any], some: Sequence[LeftRun], holder: str
) -> None:
    """Forget what runs have said, which wait for a replica, of things that were not stored."""
    for run in some:
        if not run.is_stored:
            continue
        try:
            last, lost = await _look_for(db, saver, run.run_id, run.thread_id)
        except Exception:  # whatever somebody's saver raises
            logger.exception("what run %s has said cannot be compared with its state", run.run_id)
            continue
        await db.write(replicas.forget_unstored, run, holder, last, lost)


async def _look_for(
    db: Database, saver: BaseCheckpointSaver[Any], run_id: str, thread_id: str
) -> tuple[int, Sequence[str]]:
    """Return the last event of which is stored what it needs, and what is lost that others need.

    Each graph stores in one order, so that the last thing it has stored is soon found. Beside it
    graphs that are nested in it do, which have ended before the checkpoint that follows.
    """
    last = 0
    lost: list[str] = []
    known: set[str] = set()
    for text, seq in await db.read(events.needs, run_id):
        place = holds.read(text)
        if place.ns in known:
            continue
        if await is_stored(saver, thread_id, place):
            last = last or seq
            known.add(place.ns)
            if not place.ns and not place.task_id:
                break
        elif last and not holds.is_behind(text):
            lost.append(text)
    return last, lost


async def is_stored(saver: BaseCheckpointSaver[Any], thread_id: str, place: Place) -> bool:
    """Say whether something is stored of a thread."""
    configurable = {
        "thread_id": thread_id,
        "checkpoint_ns": place.ns,
        "checkpoint_id": place.checkpoint_id,
    }
    found = await saver.aget_tuple({"configurable": configurable})
    if found is None or not await _has_parents(saver, thread_id, found):
        return False
    if not place.task_id:
        return True
    pending = found.pending_writes or ()
    left = [(channel, value) for task_id, channel, value in pending if task_id == place.task_id]
    # What servers of before have noted says nothing of it.
    return bool(left) and (not place.outcome or has_come_to(outcome_of(left), place.outcome))


async def end_changes(
    db: Database,
    saver: BaseCheckpointSaver[Any],
    runner: Runner,
    left: Sequence[changes.Left],
    holder: str,
) -> None:
    """End what was under way with threads when their process ended, as long as `holder` has it."""
    for thread_id, kind in left:
        if kind == "update":
            await _show(db, runner, thread_id, holder)
        else:
            await _try_to_delete(db, saver, thread_id, is_whole=kind != "remains")


async def _has_parents(saver: BaseCheckpointSaver[Any], thread_id: str, found: Any) -> bool:
    """Say whether the graphs are stored around the one of a checkpoint.

    What a graph stores that is nested in others is lost with them: they call it anew.
    """
    parents = (found.metadata or {}).get("parents") or {}
    for ns, checkpoint_id in parents.items():
        place = {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}
        if await saver.aget_tuple({"configurable": place}) is None:
            return False
    return True


async def delete_remains(db: Database, saver: BaseCheckpointSaver[Any], thread_id: str) -> None:
    """Delete the checkpoints of a thread that was for a run alone, which has ended."""
    await saver.adelete_thread(thread_id)
    db.write_soon(changes.end_remains, thread_id)


async def delete_all_remains(db: Database, saver: BaseCheckpointSaver[Any]) -> None:
    """Delete those that nobody else will."""
    for thread_id in await db.read(changes.remains):
        await _try_to_delete(db, saver, thread_id, is_whole=False)


async def _try_to_delete(
    db: Database, saver: BaseCheckpointSaver[Any], thread_id: str, *, is_whole: bool
) -> None:
    try:
        await saver.adelete_thread(thread_id)
        if is_whole:
            await db.write(changes.take_back, thread_id)
        else:
            await db.write(changes.end_remains, thread_id)
    except Exception:  # whatever somebody's saver raises; the next process tries it again
        logger.exception("what is left of thread %s cannot be deleted", thread_id)


async def _show(db: Database, runner: Runner, thread_id: str, holder: str) -> None:
    """Have the row of a thread show its state, which somebody may have changed."""
    try:
        metadata = await db.read(threads.metadata_of, thread_id)
        left = await runner.left_in(metadata["graph_id"], thread_id)
        await db.write(
            threads.set_state,
            thread_id,
            values=left.values,
            interrupts=left.interrupts,
            is_asking=bool(left.interrupts),
            holder=holder,
        )
    except Exception:  # whatever is the matter with the graph
        logger.exception("the state of thread %s cannot be shown", thread_id)
        await db.write(changes.end_own, thread_id, holder)
