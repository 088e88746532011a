"""What a run stores, and in which order.

A `Recorder` only collects operations; the drivers carry them out - at once, behind the run's back
or at its end, as its durability says. Operations of one run are carried out in the order in which
they were added, so a checkpoint is never stored after one that follows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from millstream._base.texts import ErrorText, safe_repr
from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    MISSING,
    NO_WRITES,
    NULL_TASK_ID,
    RESUME,
)
from millstream.core.calls import CallTask
from millstream.core.checkpoints import UNKNOWN
from millstream.core.strands import (
    STOPPED,
    TOGETHER,
    answered_prefix,
    place_record,
    questions_record,
    record_id,
    stop_record,
    together_record,
)
from millstream.core.tasks import ids_together, task_path_text
from millstream.errors import GraphDrained, is_invalid_resume
from millstream.saving.capabilities import stores_at_once, stores_by_version
from millstream.saving.carrier import Carrier
from millstream.saving.containers import PLAIN, is_special, keep_containers
from millstream.saving.copying import Series, isolated
from millstream.saving.operations import PutCheckpoint, PutWrites

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.core.checkpoints import SaveCheckpoint
    from millstream.core.protocol import Write
    from millstream.core.tasks import Task
    from millstream.outbox.write_ahead import Promise, WriteAheadLog
    from millstream.saving.carrier import Operation
    from millstream.saving.delta_history import DeltaHistory
    from millstream.saving.untracked import Untracked


MAX_IN_FLIGHT: Final = 8
"""Operations that may wait for a slow saver before the run waits too."""


class Recorder:
    """The operations of one run that have not been carried out yet."""

    __slots__ = (
        "_config",
        "_deltas",
        "_has_containers",
        "_has_given_up",
        "_has_looked",
        "_is_by_version",
        "_is_late",
        "_isolated",
        "_last",
        "_writers",
        "_writes",
        "_written",
        "carrier",
        "durability",
        "is_behind",
        "pending",
        "saver",
        "untracked",
    )

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        config: dict[str, Any],
        durability: str,
        deltas: DeltaHistory | None = None,
        head: Any = UNKNOWN,
        ahead: WriteAheadLog | None = None,
    ) -> None:
        self.saver = saver
        self.carrier = Carrier(saver, head, config, ahead)
        """What gives the saver the operations."""
        self.durability = durability
        self.pending: deque[Operation] = deque()
        self._config = config
        self._last: PutCheckpoint | None = None
        self._writes: list[PutWrites] = []
        self._deltas = deltas
        """The writes that a value is rebuilt from, with durability `exit`."""
        self.is_behind = durability == "async" and not stores_at_once(saver)
        """Operations are carried out while the run goes on."""
        self._is_late = self.is_behind or durability == "exit"
        """Nodes run before what is added is stored."""
        self._is_by_version = stores_by_version(saver)
        self._isolated: dict[str, Series] = {}
        """By channel, the copies of what is stored."""
        self._written: dict[str, tuple[Any, Any]] = {}
        """By channel, what the only task of the superstep wrote, and the copy of it."""
        self._writers: dict[str, str] = {}
        """By channel, the node that wrote it last; for runs that store later."""
        self._has_looked = self._has_containers = False
        """Whether the state was looked at for special containers, and whether there are any."""
        self._has_given_up = False
        self.untracked: Untracked | None = None
        """What must not be stored, if there is anything."""

    def leave_out(self, untracked: Untracked | None) -> None:
        """Store nothing of what must not be stored."""
        self.untracked = untracked
        if untracked is not None:
            self.carrier.forget_config()

    def add_checkpoint(self, save: SaveCheckpoint, promise: Promise | None = None) -> None:
        """Add a checkpoint; with durability `exit` only the last one counts."""
        if self._has_given_up:
            _bind(promise, None)
            return
        checkpoint = save.checkpoint
        # The state that was loaded, or the input: what comes later is looked at as it is written.
        if not self._has_looked:
            self._has_looked = True
            self._look_for_containers(checkpoint["channel_values"].items())
        if self.untracked is not None:
            # Before it is copied: what must not be stored may be what cannot be copied, such as a
            # connection.
            checkpoint = self.untracked.from_checkpoint(checkpoint)
        if self._is_late:
            checkpoint = self._isolate(checkpoint, save.new_versions)
        put = PutCheckpoint(
            self._config_at(save.parent_id),
            checkpoint,
            save.metadata,
            save.new_versions,
            self._writers,
            save.seers,
        )
        if self.durability != "exit":
            _bind(promise, put)
            self.pending.append(put)
            return
        if self._last is not None:
            # The checkpoint before is dropped, so this one follows its parent, and brings along the
            # values that were new in it.
            put.config = self._last.config
            put.new_versions = {**self._last.new_versions, **put.new_versions}
        # Writes to delta channels are all there is of their values, and would be dropped with the
        # checkpoint that they led to.
        if self._deltas is not None and save.metadata["source"] == "loop":
            self._deltas.add_superstep(save.metadata["step"], self._writes)
        self._last = put
        self._writes.clear()

    def add_task(
        self, task: Task, config: dict[str, Any] | None, promise: Promise | None = None
    ) -> None:
        """Add what a task left behind: its writes, its questions or its error."""
        if config is None:
            _bind(promise, None)
            return
        writes = stored_writes(task)
        if not self._has_containers:
            self._look_for_containers(writes)
        if self.untracked is not None:
            writes = self.untracked.from_writes(writes)
        if task.error is not None:
            # Only of a task that failed: an error among a node's writes is a value like any other.
            writes = [self._with_safe_text(write) for write in writes]
        if writes:
            has_company = _has_company(task)
            if self._is_late or has_company:
                writes = self._isolate_writes(writes, task.name, is_alone=not has_company)
            if task.questions is not None and not task.is_done:
                # Before the writes: a task of which there are questions but no record would be one
                # of another program.
                record = questions_record(task.questions, task.answers or ())
                self._add_writes(PutWrites(config, record, record_id(task.id), ""))
            if len(task.interrupts) > 1 and (ids := ids_together(task)):
                record = together_record(ids)
                self._add_writes(PutWrites(config, record, record_id(task.id, TOGETHER), ""))
            path = task_path_text(task.path)
            put = PutWrites(config, writes, task.id, path, task.name)
            _bind(promise, None if self._has_given_up else put)
            self._add_writes(put)
        else:
            _bind(promise, None)

    def add_commands(self, writes: Sequence[Write], config: dict[str, Any] | None) -> None:
        """Add what commands wrote to a checkpoint, which counts when a run goes on from it."""
        if self.untracked is not None:
            writes = self.untracked.from_writes(writes)
        if config is not None and writes:
            if self._is_late:
                writes = self._isolate_writes(writes, "")
            # Under the id that stands for no task, as LangGraph stores what a command wrote.
            self._add_writes(PutWrites(config, writes, NULL_TASK_ID, ""))

    def add_place(
        self, caller: Task, config: dict[str, Any] | None, place: str, number: int
    ) -> None:
        """Add from where its task calls the graph, before anything that the graph stores."""
        if config is not None:
            record = place_record(caller.id, place, number)
            # At once, whatever the durability: what a nested graph stores is found again by it.
            self.pending.append(PutWrites(config, record, record_id(caller.id, str(number)), ""))

    def add_stop(self, config: dict[str, Any] | None) -> None:
        """Add that the run has stopped at a breakpoint, so that the next one passes it."""
        if config is not None:
            name = record_id(config["configurable"]["checkpoint_id"], STOPPED)
            self._add_writes(PutWrites(config, stop_record(), name, ""))

    def give_up(self) -> None:
        """Store nothing more: the saver has failed, and what follows would leave a gap."""
        self._has_given_up = True
        self.pending.clear()
        self._writes.clear()
        self._last = None

    def close(self) -> None:
        """Add what was held back until the end of the run."""
        if self._last is not None:
            if self._deltas is not None:
                # First: whoever finds the last checkpoint must find what its values are rebuilt
                # from.
                self.pending += self._deltas.operations(self._last)
            self.pending.append(self._last)
            self._last = None
        self.pending += self._writes
        self._writes = []

    def _add_writes(self, put: PutWrites) -> None:
        if self._has_given_up:
            return
        if self.durability == "exit":
            self._writes.append(put)
        else:
            self.pending.append(put)

    def _isolate(self, checkpoint: dict[str, Any], news: Container[str]) -> dict[str, Any]:
        """Return the checkpoint with copies of its values, which nodes may change in place.

        A saver that stores by version is told of such a change with the next write to the channel.
        """
        # What the only task of the superstep wrote was copied for its writes, and the channel may
        # hold that very object: then one copy does for both.
        known, written = self._isolated, self._written
        self._written = {}
        versions = checkpoint["channel_versions"]
        values = dict(checkpoint["channel_values"])
        for name, value in values.items():
            version = versions.get(name)
            series = known.get(name)
            if series is None:
                series = known[name] = Series()
            # The saver does not look at the value: it has one of this version.
            if self._is_by_version and series.version == version:
                values[name] = series.last
            # Other savers store all values with each checkpoint; of those by version only the new
            # ones.
            elif not self._is_by_version or name in news:
                original, twin = written.get(name, (MISSING, None))
                values[name] = series.keep(twin) if original is value else series.add(value)
                series.version = version
        return {**checkpoint, "channel_values": values}

    def _look_for_containers(self, values: Iterable[Write]) -> None:
        """Have the serializer keep special containers as soon as there is one."""
        for _, value in values:
            if type(value) in PLAIN:
                continue
            with suppress(RecursionError):  # what holds itself, the serializer refuses by name
                if is_special(value):
                    self._has_containers = True
                    keep_containers(self.saver)
                    return

    def _isolate_writes(
        self, writes: Iterable[Write], node: str, *, is_alone: bool = False
    ) -> list[Write]:
        """Return what stays as it is; that of a task that `is_alone` will be in the checkpoint."""
        copies = []
        for channel, value in writes:
            series = self._isolated.get(channel)
            twin = isolated(value, None if series is None else series.last)
            copies.append((channel, twin))
            self._writers[channel] = node
            if is_alone:
                self._written[channel] = value, twin
        return copies

    def _config_at(self, checkpoint_id: str | None) -> dict[str, Any]:
        # A new one for each operation: what a saver does to one must not reach the others.
        configurable = {**self._config["configurable"], "checkpoint_id": checkpoint_id}
        config = {**self._config, "configurable": configurable}
        if self.untracked is not None:
            for key in ("configurable", "metadata"):
                config[key] = self.untracked.from_values(config[key] or {})
        return config

    def _with_safe_text(self, write: Write) -> Write:
        """Return the write with an error that can be told, and tells no more than it may.

        A serializer stores the `repr` of an error: where that fails, the saver would fail, and its
        error take the place of the node's.
        """
        name, error = write
        if not isinstance(error, BaseException):
            return write
        text = safe_repr(error)
        if self.untracked is not None:
            text = self.untracked.from_text(text)
        try:
            is_as_told = repr(error) == text
        except Exception:  # whatever the class of the error raises
            is_as_told = False
        return write if is_as_told else (name, ErrorText(text))


def _bind(promise: Promise | None, operation: Operation | None) -> None:
    """Say what it is that was promised: nothing that is stored, or this operation."""
    if promise is None:
        return
    if operation is None:
        promise.keep()
    else:
        operation.promise = promise
        promise.bind(operation.place)


def _has_company(task: Task) -> bool:
    """Say whether other tasks may run while what the task wrote is stored."""
    return isinstance(task, CallTask) or len(task.machine.tasks) > 1


def stored_writes(task: Task) -> list[Write]:
    """Return what is stored of a task that has ended.

    Its answers are kept with whatever became of it, except one that did not fit: the question
    stays as it was, and so do those beside it that nobody has answered.
    """
    if task.error is not None and is_invalid_resume(task.error):
        return [] if task.still_waiting is None else [(INTERRUPT, tuple(task.still_waiting))]
    if task.interrupts:
        writes: list[Write] = [(INTERRUPT, task.interrupts)]
    elif isinstance(task.error, GraphDrained):
        # A graph that the task has called has stopped, and the task goes on with it: no failure.
        writes = []
    elif task.error is not None:
        writes = [(ERROR, task.error)]
        # A failure that ends the run was not handled, whatever its node has: signals are for no
        # handler.
        is_unhandled = task is task.machine.failure or task in task.machine.leaving
        if task.node.handler is not None and not is_unhandled:
            writes.append((ERROR_SOURCE_NODE, task.name))
    elif task.is_done:
        # That a task has finished shows in that something is stored of it.
        writes = task.writes or [(NO_WRITES, None)]
    else:
        return []
    if task.answers and task.asked:
        # Up to the first gap, which is the form that LangGraph reads; the rest is in the record.
        answers = answered_prefix(task.answers[: task.asked])
        return [(RESUME, answers), *writes] if answers else writes
    return writes
