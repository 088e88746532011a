"""Calls: tasks that the code of a running task starts, in the middle of a superstep.

A call belongs to the superstep of its caller, and its result to the caller alone: it writes no
channel. What becomes of a failure, or of a question, is up to the caller, who may catch the one
and passes on the other. The n-th call of a task's own code has the same id whenever the task is
run, and so has the n-th call at one place of a strand. That is how its result is found again when
the task has to run once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millstream.constants import PUSH
from millstream.core.tasks import Task, task_path_text
from millstream.core.written import PUSH_TRIGGERS

if TYPE_CHECKING:
    from millstream.core.spec import NodeSpec


class CallTask(Task):
    """A task that another task called; its input is `(args, kwargs)`."""

    def __init__(self, caller: Task, node: NodeSpec, index: int, value: Any, mark: str) -> None:
        super().__init__(caller.machine, node, (PUSH, caller.path, index, True), PUSH_TRIGGERS)
        self.caller = caller
        self.input = value
        self.mark = mark
        """What tells the call from all others of its caller."""

    @property
    def parent_ns(self) -> str:
        """The caller's namespace."""
        return self.caller.ns

    @property
    def place(self) -> str:
        """What tells the call from all others of its caller."""
        return f"{self.node.name}{PUSH}{task_path_text(self.caller.path)}{self.mark}"


class Calls:
    """The calls of one superstep."""

    __slots__ = ("_counts", "_sizes", "tasks")

    def __init__(self) -> None:
        self._counts: dict[tuple[Task, str], int] = {}
        self._sizes: dict[Task, int] = {}
        self.tasks: list[CallTask] = []

    def add(self, caller: Task, node: NodeSpec, value: Any, place: str = "") -> CallTask:
        """Make the task for the caller's next call, at a place of one of its strands if any."""
        # Two numbers: the index orders the calls of a caller, which is no more than an order. The
        # mark is what the id is made of, so it must be the same when the caller runs again, when
        # strands may call in another order: it counts within the place.
        index = self._sizes.get(caller, 0)
        count = self._counts.get((caller, place), 0)
        self._sizes[caller], self._counts[caller, place] = index + 1, count + 1
        task = CallTask(caller, node, index, value, f"{place}:{count}" if place else str(count))
        self.tasks.append(task)
        return task

    def in_write_order(self) -> list[CallTask]:
        """Return the tasks in an order that does not depend on when they were called."""
        # As text: a path holds that of its caller, and a text and a tuple cannot be compared.
        return sorted(self.tasks, key=_path_text)

    def questions(self) -> list[Any]:
        """Return all their questions, in order of calling."""
        return [question for task in self.tasks for question in task.interrupts]


def _path_text(task: CallTask) -> str:
    return task_path_text(task.path)
