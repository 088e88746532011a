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

And one of ownership. Nobody but the machine changes the machine. A task belongs to whoever runs it,
from `plan` or `call` until `finish`, `fail` or `pause`: its writes, its answers and questions are
filled in place, because a copy of each would cost as much as the superstep. Before and after it is
the machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.constants import INTERRUPT, TASKS
from millstream.core import pending_writes
from millstream.core.breakpoints import end_before, is_breakpoint, stop_at
from millstream.core.calls import Calls, CallTask
from millstream.core.cells import writes_of
from millstream.core.checkpoints import AFTER
from millstream.core.error_handlers import handler_of, handlers_of_pending, is_handled, joined
from millstream.core.observer import NOT_WATCHED
from millstream.core.pending_writes import ResumePoint
from millstream.core.plan import plan_pulls, plan_sends
from millstream.core.progress import Progress
from millstream.core.resuming import check_answers, choose_way, keep_finished, recall
from millstream.core.state import ALLOWED, ENDED, READY, STEPPING, ProtocolError, RunStatus
from millstream.core.tasks import Task, read_inputs
from millstream.errors import GraphBubbleUp, ParentCommand

if TYPE_CHECKING:
    from millstream.core.answers import Answers
    from millstream.core.checkpoints import Lineage, SaveCheckpoint
    from millstream.core.observer import Observer
    from millstream.core.protocol import RunLimits, Write
    from millstream.core.spec import GraphSpec, NodeSpec


class RunMachine(Progress):
    """One run of one graph.

    What few runs come to stands on the class: one is made for every call of a graph.
    """

    status = RunStatus.CREATED
    interrupts: Sequence[Any] = ()
    """All questions asked by the tasks of this superstep, in order of asking."""
    save: SaveCheckpoint | None = None
    """The checkpoint to store, made by `begin`, `resume` and `commit`, until it is taken."""
    commands: Sequence[Write] = ()
    """What commands wrote since the loaded checkpoint, to be kept next to it."""
    is_travelling = False
    """The run goes on from a checkpoint that was named, whatever came after it."""
    is_at_breakpoint = False
    """The run has stopped at a breakpoint of its own, not at one of a nested graph."""
    _is_anew = False
    _is_answered = False
    _calls: Calls | None = None
    _pulls: Sequence[Task] = ()
    _pushes: Sequence[Task] | None = None

    def __init__(
        self,
        spec: GraphSpec,
        observer: Observer,
        limits: RunLimits,
        new_id: Callable[[], str],
        ns: str = "",
        lineage: Lineage | None = None,
        saved_values: Mapping[str, Any] | None = None,
        stored_writes: Iterable[tuple[str, str, Any]] = (),
        answers: Answers | None = None,
    ) -> None:
        super().__init__(spec, limits, new_id, ns, lineage, saved_values, stored_writes, answers)
        self.observer = observer
        self._foreseen: tuple[Sequence[Task], Sequence[Task]] | None = None
        """The tasks that answers were checked against, Sends and triggered ones: they run next."""
        self._is_smooth = True
        """All there is to the superstep are triggered tasks, and none of them failed, asked or
        called others."""

    @property
    def questions(self) -> Sequence[Any]:
        """The questions the run waits for: `interrupts`, or what callers did not pass on."""
        if self.interrupts or self._calls is None:
            return self.interrupts
        return self._calls.questions()

    @property
    def is_complete(self) -> bool:
        """Whether all tasks of the superstep have done their work, so that it can be committed."""
        handled = {task.origin for task in self.tasks if task.is_done}
        return (
            self.failure is None
            and not self.is_stopped_after
            and not self.questions
            and all(task.is_done or task in handled for task in self.tasks)
        )

    def pending_tasks(self) -> list[Task]:
        """Return the tasks of the coming superstep, without starting it or reading their input."""
        return plan_sends(self) + plan_pulls(self)

    def close(self) -> None:
        """Tell nobody anything more: who observes a run refers to it."""
        self.observer = NOT_WATCHED

    def begin(
        self, writes: Sequence[Write], *, is_entry: bool = False, is_newest: bool = False
    ) -> None:
        """Start from new input; tasks left over from the loaded checkpoint are dropped.

        What finished ones wrote stays if others were just stopped, where the thread `is_newest`.
        With `is_entry` the writes are those of the superstep that brings the input into the state,
        which is over thereby; for runs that save nothing.
        """
        self._require("begin")
        touched: list[str] | None = None
        lineage = self.lineage
        if lineage is not None:
            touched = []
            commands = pending_writes.take_commands(self._pending_writes)
            if commands:
                self._apply_commands(commands)
            if self._pending_writes and is_newest:
                self.updated = keep_finished(self, self.pending_tasks())
            # They will not run: what triggered them counts as seen, or they would be due again.
            left_over = self.pending_tasks()
            lineage.mark_seen(left_over)
            self.cells.consume((n for t in left_over for n in t.node.consumes), touched)
            is_step = bool(left_over)
        else:
            is_step = False
        # Where tasks are dropped the input ends their superstep, and what lives for one is over.
        self.updated = self.cells.apply(writes, touched, is_step=is_step)
        if lineage is not None:
            lineage.bump(touched or ())
            self._pending_writes = {}
            stop = stop_at(self.limits, (), lineage)
            self.save = lineage.record(self.cells, "input", self.step, self.updated, stop)
        self.status = READY
        self.step += 1
        if is_entry:
            self.step += 1
            if self.observer.state_changed is not None:
                self.observer.state_changed(self.updated)

    def resume(
        self,
        writes: Sequence[Write] = (),
        *,
        answers: Answers | None = None,
        is_strict: bool = False,
        point: ResumePoint = ResumePoint.LATEST,
    ) -> None:
        """Continue from the loaded checkpoint, after applying a command's own writes.

        `resuming` says what comes of the `point`. Raises what `Answers.check` raises, before
        the command has changed anything.
        """
        self._require("resume")
        lineage = self.lineage
        assert lineage is not None, "a run without checkpoints has nothing to resume"
        # First: what is stored next to the checkpoint shows whether somebody has gone on from it.
        way = choose_way(
            lineage,
            point,
            is_answered=answers is not None,
            is_touched=bool(self._pending_writes or writes),
        )
        if lineage.updated is not None:
            self.updated = set(lineage.updated)
        self.apply_pending_commands()
        if answers is not None:
            # Going back is for answering again what was answered.
            is_strict = is_strict and point is not ResumePoint.PAST
            pushes, pulls = plan_sends(self), plan_pulls(self)
            check_answers(answers, [*pushes, *pulls], self._pending_writes, is_strict=is_strict)
            # After the check, which may raise.
            self.answers, self._is_answered, self._foreseen = answers, True, (pushes, pulls)
        if writes:
            touched = self._apply_commands(writes)
            # Others run too if they trigger any; most updates go to keys that trigger nothing.
            if TASKS in touched or not self.spec.triggers.isdisjoint(touched):
                self._foreseen = None
            self.commands = [*self.commands, *writes]
        self.is_travelling, self._is_anew = way.is_travelling, way.is_anew
        if way.is_travelling:
            # The branch asks anew: an answer was given to the run that came after, not to this one.
            self._pending_writes = pending_writes.without_answers(self._pending_writes)
        # As having stopped here, so that a breakpoint of this place is passed. Where the run is the
        # first to come to the breakpoint it stays unseen, and `plan` stops at it.
        if not way.stop:
            lineage.mark_all_seen(INTERRUPT)
        elif way.stop == AFTER and self.limits.after:
            self.is_stopped_after = True
        if way.is_forking:
            # Or the writes of the branch would stand beside those of the run that came after. What
            # is stored beside the old checkpoint has ids of its tasks.
            self.save = lineage.record(self.cells, "fork", self.step, self.updated, way.stop)
            self._pending_writes = {}
            self.step += 1
        self.status = READY
        if self.observer.state_changed is not None:
            self.observer.state_changed(None)

    def apply_pending_commands(self) -> None:
        """Apply what commands wrote since the loaded checkpoint; what they send to is pending."""
        writes = pending_writes.take_commands(self._pending_writes)
        if writes:
            self._apply_commands(writes)
            self.commands = writes

    def _apply_commands(self, writes: Sequence[Write]) -> Sequence[str]:
        """Apply writes that belong to no task; return the channels that they touch."""
        touched: list[str] = []
        updated = self.cells.apply(writes, touched, is_step=False)
        assert self.lineage is not None, "only a run that is resumed gets commands"
        self.lineage.bump(touched)
        if self.updated is not None:
            # None stays None: versions then say what is due, and these writes have newer ones.
            self.updated |= updated
        return touched

    def plan(self) -> Sequence[Task] | None:
        """Return the tasks to run now, or None when the run has ended (`status` says why).

        An empty list means that every task's writes are known already: commit at once. Once a
        run has ended it stays so, and every further call returns None.
        """
        if self.status is not READY:
            if self.status in ENDED:
                return None
            raise ProtocolError("plan", self.status)
        pulls: Sequence[Task]
        pushes: Sequence[Task] | None
        if self._foreseen is None:
            pulls = plan_pulls(self)
            pushes = plan_sends(self) if TASKS in self.cells.live else None
        else:
            (pushes, pulls), self._foreseen = self._foreseen, None
        self._pulls, self._pushes = pulls, pushes
        self._is_smooth = not (pushes or self._pending_writes or self.updated is None)
        tasks = [*pushes, *pulls] if pushes else pulls
        limits, observer = self.limits, self.observer
        # What can end a run here, looked at in place: a call would cost each superstep more.
        may_end = not tasks or self.is_stopped_after or limits.before or self.step > self.stop
        if limits.control is not None and limits.control.drain_requested:
            may_end = True
        # One step too many is the end, whatever the state is: reading it must not raise first.
        if self.step <= self.stop:
            read_inputs(self, pulls)
        if observer.checkpoint_reached is not None:
            observer.checkpoint_reached(tasks)
        if may_end and (end := end_before(self, tasks)) is not None:
            self._end(end)
            return None
        if self._pending_writes and not self._is_anew:
            tasks = [*tasks, *handlers_of_pending(self, tasks)]
        self.tasks = tasks
        self.status = STEPPING
        if len(tasks) > 1:
            # Their ids derive from it: it must be there before several threads ask for it.
            self._name_checkpoint()
        if observer.tasks_planned is not None:
            observer.tasks_planned(tasks)
        return self._without_finished(tasks) if self._pending_writes else tasks

    def _end(self, end: RunStatus) -> None:
        """End the run between two supersteps."""
        self.status = end
        self.tasks = ()
        if end is RunStatus.BREAKPOINT:
            self.is_at_breakpoint = True
            if self.observer.breakpoint_reached is not None:
                self.observer.breakpoint_reached()

    def call(self, caller: Task, node: NodeSpec, value: Any, place: str = "") -> CallTask:
        """Return the task for what a running task calls, to be run like any other.

        `place` says which strand of the task calls, if not its own code. A call that `is_done` ran
        before, and its result is known.
        """
        self._require("call")
        self._is_smooth = False
        if self._calls is None:
            self._calls = Calls()
        # Another program stopped the task, and told its calls by their order alone.
        if place and pending_writes.is_counted(self._pending_writes, caller.id):
            place = ""
        task = self._calls.add(caller, node, value, place)
        if self.observer.tasks_planned is not None:
            self.observer.tasks_planned((task,))
        if self._pending_writes and (writes := self._recall(task)):
            task.writes = writes
            task.is_done = task.is_replayed = True
        return task

    def finish(self, task: Task) -> None:
        """Take note that the task ran to its end; its writes are in `task.writes`."""
        if self.status is not STEPPING:
            raise ProtocolError("finish", self.status)
        task.is_done = True
        tell = self.observer.task_finished
        # Once a task has failed nothing will be committed, so nothing more is shown.
        if tell is not None and self.failure is None:
            tell(task)

    def replay(self, task: Task, writes: Iterable[Write]) -> None:
        """Take note that the task's writes are known without running it."""
        self._require("replay")
        task.writes = list(writes)
        task.is_done = task.is_replayed = True
        if self.observer.task_replayed is not None:
            self.observer.task_replayed(task)

    def fail(self, task: Task, error: BaseException) -> Task | None:
        """Take note that the task failed for good; return the task that handles it, if any.

        Without a handler the run fails: `commit` will end it with the first such error. A command
        on its way to a parent graph ends this run in the same way, but is nobody's failure: the
        other tasks go on, and their commands for that graph join it. What a failed call means is
        up to its caller.
        """
        self._require("fail")
        self._is_smooth = False
        task.error = error
        task.writes = []
        if self.failure is not None:
            return None
        # A `GraphBubbleUp` is no failure: it is on its way to a graph further up.
        if self.observer.task_failed is not None and not isinstance(error, GraphBubbleUp):
            self.observer.task_failed(task)
        if isinstance(task, CallTask):
            return None
        if isinstance(error, ParentCommand):
            self.leaving = [*self.leaving, task]
            return None
        if task.node.handler is not None and is_handled(error):
            handler = handler_of(self, task, task.node.handler)
            self.tasks = [*self.tasks, handler]
            return handler
        # Only the first: what fails after it may have failed because of it.
        self.failure = task
        return None

    def pause(self, task: Task, interrupts: Sequence[Any]) -> None:
        """Take note that the task asked questions, or stopped at a nested breakpoint.

        A call that does so stops its caller, who passes the questions on.
        """
        self._require("pause")
        self._is_smooth = False
        task.interrupts = tuple(interrupts)
        task.writes = []
        if isinstance(task, CallTask):
            return
        self.interrupts = [*self.interrupts, *interrupts]
        # No questions: a nested graph has stopped at a breakpoint.
        self.is_stopped_after = self.is_stopped_after or not interrupts
        if interrupts and self.failure is None and self.observer.task_paused is not None:
            self.observer.task_paused(task)

    def commit(self) -> None:
        """Apply the superstep's writes, or end the run if a task failed or asked.

        Raises what a channel raises that refuses its writes; the run has failed then.
        """
        if self.status is not STEPPING:
            raise ProtocolError("commit", self.status)
        ordered: Sequence[Task] = self._pulls
        if not self._is_smooth:
            if self.leaving and self.failure is None:
                # Only now: other tasks may have gone on and left for the same graph.
                self.failure = joined(self.leaving)
            if self.failure is not None:
                self.status = RunStatus.FAILED
                return
            if self.is_stopped_after or self.questions:
                self._pause_run()
                return
            ordered = self._in_write_order()
            self._calls = None
        cells, lineage = self.cells, self.lineage
        touched: list[str] | None = None
        if lineage is not None:
            lineage.mark_seen(ordered)
            touched = []
        try:
            updated = self.updated = cells.end_step(ordered, touched)
        except BaseException:
            # Some channels have taken their writes, others have not: nothing may follow.
            self.status = RunStatus.FAILED
            raise
        self.step += 1
        self.status = READY
        if self.observer.state_changed is not None:
            self.observer.state_changed(updated)
        if lineage is not None:
            self._record(lineage, ordered, touched or ())
        elif self.limits.after and is_breakpoint(self.limits.after, ordered, None):
            self.is_stopped_after = True

    def take_save(self) -> SaveCheckpoint | None:
        """Hand over the checkpoint to store, if there is a new one."""
        save, self.save = self.save, None
        return save

    def _record(self, lineage: Lineage, tasks: Sequence[Task], touched: Sequence[str]) -> None:
        """Make the checkpoint of the superstep that was committed."""
        lineage.bump(touched)
        if lineage.deltas is not None:
            lineage.deltas.record_orphans(self._pending_writes, {task.id for task in tasks})
        self._pending_writes = {}
        stop = stop_at(self.limits, tasks, lineage)
        self.is_stopped_after = stop == AFTER
        self.save = lineage.record(self.cells, "loop", self.step - 1, self.updated, stop)
        # Only this run's own answers. Those of an enclosing run are for all of its nested graphs,
        # whose supersteps end at other times.
        if self._is_answered and self.answers is not None:
            self.answers.expire()

    def _require(self, received: str) -> None:
        if self.status is not ALLOWED[received]:
            raise ProtocolError(received, self.status)

    def _without_finished(self, tasks: Sequence[Task]) -> list[Task]:
        missing = []
        for task in tasks:
            plain = self._recall(task)
            if plain:
                self.replay(task, plain)
            # One with an error has failed before, and its handler is among the tasks.
            elif task.error is None:
                missing.append(task)
        return missing

    def _recall(self, task: Task) -> list[Write]:
        return recall(task, self._pending_writes, self.answers, is_anew=self._is_anew)

    def _in_write_order(self) -> list[Task]:
        pulls, pushes = self._pulls, self._pushes or ()
        # Triggered tasks come by name and Sends by position, the order of their paths. Not so
        # handlers, and tasks that versions chose: those come in the order in which nodes were
        # added.
        has_handlers = len(self.tasks) > len(pulls) + len(pushes)
        if has_handlers or self.updated is None:
            ordered = sorted(self.tasks, key=lambda task: task.path)
        else:
            ordered = [*pulls, *pushes]
        return ordered if self._calls is None else [*ordered, *self._calls.in_write_order()]

    def _pause_run(self) -> None:
        # For the eyes of whoever called: the state with what finished tasks wrote. It is in the
        # cells of a run that is over, and in no checkpoint: nothing is `touched`, nothing recorded.
        finished = [task for task in self._in_write_order() if task.is_done and task.writes]
        updated = self.cells.apply(writes_of(finished), is_step=bool(finished), tasks=finished)
        is_paused = bool(self.questions)
        # A nested run that asks is not over: its caller shows what comes of it.
        if self.observer.state_changed is not None and not (is_paused and self.ns):
            self.observer.state_changed(updated)
        if not is_paused and self.observer.breakpoint_reached is not None:
            self.observer.breakpoint_reached()
        self.status = RunStatus.PAUSED if is_paused else RunStatus.BREAKPOINT
