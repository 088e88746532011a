"""The state machine of one run: the only place where a run's state changes.

`RunMachine` holds the channels of one graph while it runs and decides everything: which tasks
come next, in which order their writes are applied, when the run stops and why. It does no I/O; a
driver runs the tasks it plans and reports how each ended. `state` lists which call is allowed
when, `protocol` shows the rhythm.

Three rules of the bulk-synchronous model are kept here and nowhere else:

* Tasks of one superstep read the state as it was committed before it, and see none of each
  other's writes.
* Writes are applied in an order that does not depend on which task finished first: triggered
  tasks by node name, then Sends by position.
* A superstep is applied whole or not at all. When a task failed or asked a question, the writes
  of its finished siblings are kept for the checkpoint but not committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream.constants import ERROR, INTERRUPT, RESUME, TASKS
from millstream.core.cells import Cells
from millstream.core.interrupts import is_breakpoint
from millstream.core.plan import plan_sends, plan_triggered, plan_unseen
from millstream.core.state import ALLOWED, ENDED, ProtocolError, RunStatus
from millstream.core.tasks import HANDLER, PUSH_TRIGGERS, Task
from millstream.errors import GraphBubbleUp

if TYPE_CHECKING:
    from millstream.core.protocol import DrainControl, Observer, TaskPath, Write
    from millstream.core.snapshot import Lineage, SaveCheckpoint
    from millstream.core.spec import GraphSpec

SPECIAL_WRITES = frozenset((ERROR, INTERRUPT, RESUME))


@dataclass(slots=True)
class RunLimits:
    """What may stop a run from outside its graph."""

    steps: int
    """Supersteps the run may take after the hidden first one; a resumed run has no hidden one and
    may take two more."""
    before: str | Collection[str] = ()
    """Nodes to stop before; `"*"` for all."""
    after: str | Collection[str] = ()
    """Nodes to stop after; `"*"` for all."""
    control: DrainControl | None = None


class RunMachine:
    """One run of one graph."""

    __slots__ = (
        "_checkpoint_id",
        "_is_stopping",
        "_known",
        "_pulls",
        "_pushes",
        "_updated",
        "cells",
        "failure",
        "interrupts",
        "limits",
        "lineage",
        "new_id",
        "ns",
        "observer",
        "save",
        "spec",
        "status",
        "step",
        "stop",
        "tasks",
    )

    def __init__(
        self,
        spec: GraphSpec,
        observer: Observer,
        limits: RunLimits,
        *,
        new_id: Callable[[], str],
        ns: str = "",
        lineage: Lineage | None = None,
        saved_values: Mapping[str, Any] | None = None,
        known_writes: Iterable[tuple[str, str, Any]] = (),
    ) -> None:
        self.spec = spec
        self.observer = observer
        self.limits = limits
        self.new_id = new_id
        self.ns = ns
        self.lineage = lineage
        self.cells = Cells(spec, saved_values)
        self.step: int = lineage.metadata.get("step", -2) + 1 if lineage is not None else -1
        self.stop = self.step + limits.steps + 1
        self.status = RunStatus.CREATED
        self.tasks: Sequence[Task] = ()
        """The tasks of the superstep in progress."""
        self.failure: Task | None = None
        """The task whose error ended the run."""
        self.interrupts: list[Any] = []
        """All questions asked by the tasks of this superstep, in order of asking."""
        self.save: SaveCheckpoint | None = None
        """The checkpoint to store, set by `begin` and `commit`; the driver takes it away."""
        self._known: dict[str, list[Write]] = {}
        for task_id, channel, value in known_writes:
            self._known.setdefault(task_id, []).append((channel, value))
        self._checkpoint_id: str | None = None
        self._updated: set[str] | None = None
        self._pulls: list[Task] = []
        self._pushes: list[Task] = []
        self._is_stopping = False

    @property
    def checkpoint_id(self) -> str:
        """The id of the checkpoint this superstep starts from."""
        if self.lineage is not None and self.lineage.id:
            return self.lineage.id
        if self._checkpoint_id is None:
            self._checkpoint_id = self.new_id()
        return self._checkpoint_id

    @property
    def known_writes(self) -> Mapping[str, list[Write]]:
        """Writes stored with the loaded checkpoint, by task id."""
        return self._known

    def begin(self, writes: Sequence[Write]) -> None:
        """Start from new input; tasks left over from the loaded checkpoint are dropped."""
        self._require("begin")
        touched: list[str] | None = None
        lineage = self.lineage
        if lineage is not None:
            touched = []
            left_over = [*plan_sends(self), *self._plan_pulls()]
            lineage.see(left_over)
            self.cells.consume((n for t in left_over for n in t.node.consumes), touched)
            is_step = bool(left_over)
        else:
            is_step = False
        self._updated = self.cells.apply(self.cells.group(writes), touched, is_step=is_step)
        if lineage is not None:
            lineage.bump(touched or ())
            self._known = {}
            self.save = lineage.record(self.cells, "input", self.step, self._updated)
        self.status = RunStatus.READY
        self.step += 1

    def resume(self, writes: Sequence[Write] = ()) -> None:
        """Continue from the loaded checkpoint, after applying a command's own writes."""
        self._require("resume")
        lineage = self.lineage
        assert lineage is not None, "a run without checkpoints has nothing to resume"
        if lineage.updated is not None:
            self._updated = set(lineage.updated)
        if writes:
            touched: list[str] = []
            updated = self.cells.apply(self.cells.group(writes), touched, is_step=False)
            lineage.bump(touched)
            if self._updated is not None:
                self._updated |= updated
        lineage.see_everything(INTERRUPT)
        self.status = RunStatus.READY
        if self.observer.state_changed is not None:
            self.observer.state_changed(None)

    def plan(self) -> Sequence[Task] | None:
        """Return the tasks to run now, or None when the run has ended (`status` says why).

        An empty list means that every task's writes are known already: commit at once. Once a
        run has ended it stays so, and every further call returns None.
        """
        if self.status is not RunStatus.READY:
            if self.status in ENDED:
                return None
            raise ProtocolError("plan", self.status)
        pushes = plan_sends(self) if TASKS in self.cells.live else []
        pulls = self._plan_pulls()
        self._pushes, self._pulls = pushes, pulls
        tasks = pushes + pulls if pushes else pulls
        if self.step <= self.stop:
            for task in pulls:
                task.input = self._read(task)
        if self.observer.checkpoint_reached is not None:
            self.observer.checkpoint_reached(tasks)
        end = self._decide_end(tasks)
        if end is not None:
            self.status = end
            self.tasks = ()
            return None
        self.tasks = tasks
        self.status = RunStatus.STEPPING
        if len(tasks) > 1:
            # Their ids derive from this one: it must be there before several threads ask for it.
            self.checkpoint_id  # noqa: B018
        if self.observer.tasks_started is not None:
            self.observer.tasks_started(tasks)
        return self._without_known(tasks) if self._known else tasks

    def finish(self, task: Task) -> None:
        """Take note that the task ran to its end; its writes are in `task.writes`."""
        if self.status is not RunStatus.STEPPING:
            raise ProtocolError("finish", self.status)
        task.is_done = True
        if self.failure is None and self.observer.task_finished is not None:
            self.observer.task_finished(task)

    def replay(self, task: Task, writes: Iterable[Write]) -> None:
        """Take note that the task's writes are known without running it."""
        self._require("replay")
        task.writes = list(writes)
        task.is_done = task.is_replayed = True
        if self.observer.task_replayed is not None:
            self.observer.task_replayed(task)

    def fail(self, task: Task, error: BaseException) -> Task | None:
        """Take note that the task failed for good; return the task that handles it, if any.

        Without a handler the run fails: `commit` will end it with the first such error. A signal
        on its way to a parent graph ends this run in the same way, but is nobody's failure.
        """
        self._require("fail")
        task.error = error
        task.writes = []
        if self.failure is not None:
            return None
        if self.observer.task_failed is not None and not isinstance(error, GraphBubbleUp):
            self.observer.task_failed(task)
        if task.node.handler is not None and _is_handled(error):
            return self._plan_handler(task)
        self.failure = task
        return None

    def pause(self, task: Task, interrupts: Sequence[Any]) -> None:
        """Take note that the task asked questions, or stopped at a nested breakpoint."""
        self._require("pause")
        task.interrupts = tuple(interrupts)
        task.writes = []
        self.interrupts += interrupts
        self._is_stopping = self._is_stopping or not interrupts
        if interrupts and self.failure is None and self.observer.task_paused is not None:
            self.observer.task_paused(task)

    def commit(self) -> None:
        """Apply the superstep's writes, or end the run if a task failed or asked.

        Raises what a channel raises that refuses its writes; the run has failed then.
        """
        if self.status is not RunStatus.STEPPING:
            raise ProtocolError("commit", self.status)
        if self.failure is not None:
            self.status = RunStatus.FAILED
            return
        if self.interrupts or self._is_stopping:
            self._pause_run()
            return
        cells, lineage = self.cells, self.lineage
        ordered = self._in_write_order()
        touched: list[str] | None = None
        if lineage is not None:
            lineage.see(ordered)
            touched = []
        try:
            updated = self._apply(ordered, touched)
        except BaseException:
            # Some channels have taken their writes, others have not: nothing may follow.
            self.status = RunStatus.FAILED
            raise
        self._updated = updated
        step = self.step
        self.step = step + 1
        self.status = RunStatus.READY
        if self.observer.state_changed is not None:
            self.observer.state_changed(updated)
        if lineage is not None:
            lineage.bump(touched or ())
            self._known = {}
            self.save = lineage.record(cells, "loop", step, updated)
        if self.limits.after and is_breakpoint(self.limits.after, ordered, lineage):
            self._is_stopping = True

    def _apply(self, ordered: Sequence[Task], touched: list[str] | None) -> set[str]:
        """Apply the tasks' writes and return the channels that hold new values."""
        cells, spec = self.cells, self.spec
        grouped = cells.gather(ordered)
        for task in ordered:
            if task.node.consumes and task.is_pull:
                cells.consume(task.node.consumes, touched)
        updated = cells.apply(grouped, touched)
        if spec.finishing and spec.triggered.keys().isdisjoint(updated):
            updated |= cells.finish(touched)
        return updated

    def _require(self, received: str) -> None:
        if self.status is not ALLOWED[received]:
            raise ProtocolError(received, self.status)

    def _decide_end(self, tasks: Sequence[Task]) -> RunStatus | None:
        """Return the status in which the run ends instead of running the tasks, if it does."""
        limits = self.limits
        is_stopping = self._is_stopping
        if not is_stopping:
            if self.step > self.stop:
                return RunStatus.OUT_OF_STEPS
            if not tasks:
                return RunStatus.DONE
            if limits.control is not None and limits.control.drain_requested:
                return RunStatus.DRAINED
            is_stopping = bool(limits.before) and is_breakpoint(limits.before, tasks, self.lineage)
        if not is_stopping:
            return None
        if self.observer.breakpoint_reached is not None:
            self.observer.breakpoint_reached()
        return RunStatus.BREAKPOINT

    def _plan_pulls(self) -> list[Task]:
        if self._updated is not None:
            nodes = plan_triggered(self.spec, self._updated)
        else:
            assert self.lineage is not None, "a run that saves nothing knows what it updated"
            nodes = plan_unseen(self.spec, self.cells, self.lineage)
        return [Task(self, node, node.path, node.triggers) for node in nodes]

    def _read(self, task: Task) -> Any:
        try:
            return task.node.read(self)
        except Exception as error:
            if hasattr(error, "add_note"):
                path = task.path
                error.add_note(f"Before task with name '{task.name}' and path '{path[:3]}'")
            raise

    def _without_known(self, tasks: Sequence[Task]) -> list[Task]:
        missing = []
        for task in tasks:
            writes = self._known.get(task.id, ())
            plain = [write for write in writes if write[0] not in SPECIAL_WRITES]
            if plain:
                self.replay(task, plain)
            else:
                missing.append(task)
        return missing

    def _plan_handler(self, failed: Task) -> Task:
        assert failed.node.handler is not None
        path = (*failed.path, HANDLER, False)
        handler = Task(self, self.spec.nodes[failed.node.handler], path, PUSH_TRIGGERS)
        handler.origin = failed
        handler.input = failed.input
        self.tasks = [*self.tasks, handler]
        return handler

    def _in_write_order(self) -> list[Task]:
        pulls, pushes = self._pulls, self._pushes
        has_handlers = len(self.tasks) > len(pulls) + len(pushes)
        if has_handlers or self._updated is None:
            return sorted(self.tasks, key=_path)
        return pulls + pushes if pushes else pulls

    def _pause_run(self) -> None:
        finished = [task for task in self._in_write_order() if task.is_done and task.writes]
        updated = self.cells.apply(self.cells.gather(finished), is_step=False)
        if self.observer.state_changed is not None:
            self.observer.state_changed(updated)
        if not self.interrupts and self.observer.breakpoint_reached is not None:
            self.observer.breakpoint_reached()
        self.status = RunStatus.PAUSED if self.interrupts else RunStatus.BREAKPOINT


def _path(task: Task) -> TaskPath:
    return task.path


def _is_handled(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, GraphBubbleUp)
