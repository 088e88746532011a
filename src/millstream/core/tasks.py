"""Tasks: their identity, and the input they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import xxhash

from millstream._types.interrupts import interrupt_id
from millstream.constants import NS_END, NS_SEP, PUSH
from millstream.core.written import Written

if TYPE_CHECKING:
    from millstream.core.progress import Progress
    from millstream.core.protocol import TaskPath, Write
    from millstream.core.spec import NodeSpec, Read, Values
    from millstream.core.strands import Questions
    from millstream.managed.base import ManagedValueSpec, Scratchpad

HANDLER = "node_error_handler"
"""Marks the path and the id of a task that handles a failure."""


Digest: TypeAlias = Callable[[bytes], str]


class Task(Written):
    """One execution of one node in one superstep.

    What most tasks never have stands on the class: one is made for every node that runs.
    """

    input: Any = None
    is_done = False
    is_replayed = False
    error: BaseException | None = None
    interrupts: tuple[Any, ...] = ()
    answers: list[Any] | None = None
    """Answers to the task's questions, by their numbers; `MISSING` where there is none."""
    asked = 0
    """How many of these are kept: those it was given when it began, or has asked for."""
    questions: Questions | None = None
    """Which question has which number; None as long as the task's own code alone asks."""
    together: Set[str] = frozenset()
    """The ids of questions of nested graphs that may be answered one after the other."""
    waiting: Sequence[Any] = ()
    """The questions that the task asked last, as they were stored."""
    still_waiting: Sequence[Any] | None = None
    """What waits of these after nested graphs have gone on; None if none has."""
    timeout: Any = None
    cache_key: Any = None
    """Where the result is kept, for a driver that caches."""
    origin: Task | None = None
    """The failed task this one handles."""
    _id: str | None = None
    _checkpoint_id: str | None = None

    def __init__(
        self, machine: Progress, node: NodeSpec, path: TaskPath, triggers: tuple[str, ...]
    ) -> None:
        self.machine = machine
        self.step = machine.step
        self.node = node
        self.path = path
        self.triggers = triggers
        if machine.lineage is not None:
            # Kept, because the run goes on while code of the task may still ask.
            self._checkpoint_id = machine.lineage.id

    @property
    def id(self) -> str:
        """The task's id: the same whenever this superstep of this checkpoint is run.

        A UUID-shaped xxh3-128 of the checkpoint id and the task's place in the run. Worked out
        when first asked for.
        """
        if self._id is None:
            self._id = task_id(self)
        return self._id

    def rename(self, id: str | None) -> None:
        """Use the id that the task had when it ran before, if there is one."""
        if id is not None:
            self._id = id

    @property
    def checkpoint_id(self) -> str:
        """The id of the checkpoint the task's superstep started from."""
        # Empty where nothing is stored yet, or ever: the machine makes an id up then.
        return self._checkpoint_id or self.machine.checkpoint_id

    @property
    def ns(self) -> str:
        """The task's namespace, `parent|node:id`."""
        return f"{self.name_ns}{NS_END}{self.id}"

    @property
    def name_ns(self) -> str:
        """The namespace without the task's own id, `parent|node`.

        The parent of a task that handles a failure is the failed task.
        """
        parent = self.parent_ns
        return f"{parent}{NS_SEP}{self.node.name}" if parent else self.node.name

    @property
    def parent_ns(self) -> str:
        """The namespace the task's own is in: the run's, or that of the task it belongs to."""
        return self.machine.ns if self.origin is None else self.origin.ns

    @property
    def place(self) -> str:
        """What tells the task from all others of its superstep, in its namespace."""
        if self.origin is not None:
            return f"{self.node.name}{PUSH}{HANDLER}{self.origin.id}"
        # The parts of LangGraph's ids, in its order: a thread may go on in the other library while
        # tasks of the superstep have finished, and their writes are found by id.
        return self.node.place if self.is_pull else f"{self.node.name}{PUSH}{self.path[1]}"


def ids_together(task: Task) -> set[str]:
    """Return what a task asks, if it may be answered as if one question came after the other."""
    # Of the task's own code one more question is known than it has answers; where strands ask, all
    # of their questions are recorded.
    ids = {question.id for question in task.interrupts}
    count = len(task.answers or ()) + 1 if task.questions is None else len(task.questions.asked)
    pending = {*task.together, *(interrupt_id(task.ns, number) for number in range(count))}
    return ids if len(ids) == 1 or ids <= pending else set()


def task_id(task: Task) -> str:
    """Derive a task's id from its checkpoint and its place in the run."""
    return task_id_of(task.checkpoint_id, f"{task.name_ns}{task.step}{task.place}")


def task_id_of(checkpoint_id: str, text: str, digest: Digest = xxhash.xxh3_128_hexdigest) -> str:
    """Return the id that a digest gives a task: 32 digits of it, in the shape of a UUID."""
    made = digest(bytes.fromhex(checkpoint_id.replace("-", "")) + text.encode())
    # The shape of LangGraph's ids, which programs may parse.
    return f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:32]}"


@lru_cache(maxsize=256)  # that of a triggered task is the same in every superstep
def task_path_text(path: TaskPath) -> str:
    """Encode a path so that sorting the texts sorts the tasks."""
    return f"~{', '.join(map(_part_text, path))}"


def _part_text(part: Any) -> str:
    # Padded, so that the tenth Send comes after the ninth.
    if isinstance(part, int):
        return f"{part:010d}"
    return task_path_text(part) if isinstance(part, tuple) else str(part)


def preview(machine: Progress, writes: Sequence[Write]) -> dict[str, Any]:
    """Return the state as it would be if the superstep had only these writes.

    With the values that are computed from the run.
    """
    values = machine.cells.preview(writes)
    for key, managed in machine.spec.managed.items():
        values[key] = managed.get(machine)
    return values


def read_inputs(machine: Progress, tasks: Sequence[Task]) -> None:
    """Give triggered tasks their input; an error says for which task it was read."""
    cells = machine.cells
    try:
        for task in tasks:
            task.input = task.node.read(cells, machine)
    except Exception as error:
        # Python 3.10 has no notes.
        if hasattr(error, "add_note"):
            error.add_note(f"Before task with name '{task.name}' and path '{task.path[:3]}'")
        raise


Coerce = Callable[[dict[str, Any]], Any]


def reader(
    keys: str | tuple[str, ...],
    *,
    shown: Mapping[str, int],
    managed: Mapping[str, ManagedValueSpec],
    coerce: Coerce | None = None,
) -> Read:
    """Return the function that assembles a node's input from the state.

    A single key reads that channel's bare value. Several keys read a dict of those that have a
    value, managed values included, which `coerce` turns into the state schema's class.
    """
    if isinstance(keys, str):
        return _single(keys)
    computed = {key: managed[key] for key in keys if key in managed}
    plain = tuple(key for key in keys if key not in managed)
    # A node that reads every shown key, as nearly all do, gets one copy of a dict.
    values = _all if len(plain) == len(shown) else _some(plain)
    if computed:
        values = _with_computed(values, computed)
    return values if coerce is None else _coerced(values, coerce)


def _single(key: str) -> Read:
    return lambda state, _: state.get(key)


def _all(state: Values, _: Scratchpad) -> dict[str, Any]:
    return state.values.copy()


def _some(keys: tuple[str, ...]) -> Read:
    def read(state: Values, _: Scratchpad) -> dict[str, Any]:
        values = state.values
        return {key: values[key] for key in keys if key in values}

    return read


def _with_computed(read: Read, computed: Mapping[str, ManagedValueSpec]) -> Read:
    def read_all(state: Values, scratchpad: Scratchpad) -> dict[str, Any]:
        values: dict[str, Any] = read(state, scratchpad)
        for key, managed in computed.items():
            values[key] = managed.get(scratchpad)
        return values

    return read_all


def _coerced(read: Read, coerce: Coerce) -> Read:
    return lambda state, scratchpad: coerce(read(state, scratchpad))
