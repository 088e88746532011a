"""Commands that are given again, because the process to which they were given has ended.

A run with input stores a checkpoint of its own, by which the next attempt knows that it has begun.
What a command changes is stored beside the checkpoint that was there before. So what is there is
noted before a command is given, and what has come since is what the command has done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson

from millstream.constants import NULL_TASK_ID, RESUME
from millstream.core.answers import Answers
from millstream.server.storage import attempts
from millstream.types import Command

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.server.runs.calls import GraphCall
    from millstream.server.storage.database import Database


class Found(NamedTuple):
    """What there is of a thread that a command may change."""

    written: int = 0
    """How much commands have written since the last checkpoint."""
    questions: Sequence[str] = ()
    """The ids of those that wait for an answer."""


async def give(
    call: GraphCall, run_id: str, graph: Any, db: Database, saver: BaseCheckpointSaver[Any]
) -> None:
    """Have a command given once: note what is there, or leave out what was given before."""
    if not isinstance(call.input, Command) or "checkpoint_id" in call.config["configurable"]:
        return
    now = await _look(call, graph, saver)
    known = await db.read(attempts.found, run_id)
    if known is None:
        await db.write(attempts.note_found, run_id, orjson.dumps([*now]).decode())
    else:
        call.input = rest_of(call.input, Found(*orjson.loads(known)), now)


def rest_of(command: Command[Any], found: Found, now: Found) -> Command[Any] | None:
    """Return what is left to be given of a command, None if nothing is."""
    resume = command.resume
    if resume is not None and Answers(resume).ids is None and len(found.questions) == 1:
        # Or another question might take it, that was asked since.
        resume = {found.questions[0]: resume}
    if resume is not None and Answers(resume).ids:
        spent = set(found.questions) - set(now.questions)
        resume = {id: answer for id, answer in resume.items() if id not in spent} or None
    is_written = now.written > found.written or (command.update is None and not command.goto)
    if not is_written:
        return Command(resume=resume, update=command.update, goto=command.goto)
    return None if resume is None else Command(resume=resume)


async def _look(call: GraphCall, graph: Any, saver: BaseCheckpointSaver[Any]) -> Found:
    stored = await saver.aget_tuple(cast("Any", call.place))
    if stored is None:
        return Found()
    of_commands = [
        channel
        for task_id, channel, _ in stored.pending_writes or ()
        if task_id == NULL_TASK_ID and channel != RESUME
    ]
    state = await graph.aget_state(call.place)
    return Found(len(of_commands), [question.id for question in state.interrupts])
