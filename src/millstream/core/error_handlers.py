"""What becomes of a task that fails: a handler runs, or a command leaves the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream.core import pending_writes
from millstream.core.tasks import HANDLER, Task
from millstream.core.written import PUSH_TRIGGERS
from millstream.errors import GraphBubbleUp, ParentCommand

if TYPE_CHECKING:
    from millstream.core.progress import Progress


def is_handled(error: BaseException) -> bool:
    """Say whether an error handler is for this: signals are no failures."""
    return isinstance(error, Exception) and not isinstance(error, GraphBubbleUp)


def handler_of(machine: Progress, failed: Task, name: str) -> Task:
    """Return the task of the error handler with this name for a failed task."""
    # So it sorts behind the task that it handles, and before the next one.
    path = (*failed.path, HANDLER, False)
    handler = Task(machine, machine.spec.nodes[name], path, PUSH_TRIGGERS)
    handler.origin = failed
    # A handler is given what the failed node was given, not the state as it is by now.
    handler.input = failed.input
    return handler


def handlers_of_pending(machine: Progress, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that handle failures from before the run was stopped."""
    handlers = []
    for task in tasks:
        error = pending_writes.handled_error(machine.pending_writes.get(task.id, ()))
        # The graph may have lost the handler since: then the task simply runs again.
        if error is not None and task.node.handler is not None:
            task.error = error
            handlers.append(handler_of(machine, task, task.node.handler))
    return handlers


def joined(leaving: Sequence[Task]) -> Task:
    """Return the first of the tasks that leave, with what all of them say to the same graph."""
    # Which of them leaves first is chance, and must not decide which command is the first.
    first, *others = sorted(leaving, key=lambda task: task.path)
    commands: list[Any] = [task.error.args[0] for task in (first, *others) if task.error]
    own = commands[0]
    # Commands for another graph have lost: an error can carry a command to one graph only.
    same = [command for command in commands[1:] if command.graph == own.graph]
    if same:
        first.error = ParentCommand(own._joined(same))
    return first
