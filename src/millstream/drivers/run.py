"""One run of one graph: what its tasks share, and the decisions both drivers leave to it.

A driver asks a `Run` what to do with everything except waiting: how to start, what a finished task
means, what to hand to the consumer, how to end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config

from millstream.config import task_context_of
from millstream.constants import CONFIG_KEY_STRICT_RESUME, NS_END
from millstream.core.observer import NOT_WATCHED, Observer
from millstream.core.pending_writes import ResumePoint
from millstream.core.state import DONE, ENDED, RunStatus
from millstream.drivers.call_nodes import call_too_late
from millstream.drivers.context import TaskContext
from millstream.drivers.loading import before_branch, open_recorder
from millstream.drivers.questions import (
    all_questions,
    record_nested_questions,
    record_progress,
)
from millstream.drivers.recorded import emit_custom_to, end_recording
from millstream.drivers.run_request import Replay
from millstream.drivers.run_scope import RunScope
from millstream.drivers.subgraphs import EmitEnd, emit_started
from millstream.drivers.taps import ears_of, taps_of, tool_taps_of
from millstream.errors import GraphDrained, GraphInterrupt, is_invalid_resume, recursion_error
from millstream.modes.names import CUSTOM, GRAPHS, VALUES
from millstream.modes.projectors import RunView, both, observe
from millstream.recording.lines import RECORDED
from millstream.runtime import _no_op_stream_writer
from millstream.saving import delta_history
from millstream.stimuli.log import machine_class

if TYPE_CHECKING:
    from millstream._base.run_trees import NodeRun
    from millstream.core.checkpoints import Lineage
    from millstream.core.machine import RunMachine
    from millstream.core.protocol import Write
    from millstream.core.tasks import Task
    from millstream.drivers.loading import LoadedCheckpoint
    from millstream.drivers.run_request import RunRequest, RunStart
    from millstream.drivers.waits import Waits
    from millstream.modes.event_listener import EventListener
    from millstream.modes.parts import Emit
    from millstream.outbox.outbox import Outbox
    from millstream.outbox.write_ahead import Promise
    from millstream.types import StreamWriter


def outlet_of(request: RunRequest) -> Callable[[Any], object] | None:
    """Return what gets all that a run tells at once, None where its reader does."""
    # Nested runs tell theirs to whoever looks at them, and by those to the root.
    if request.ahead is None or request.nesting.parent is not None:
        return None
    return request.ahead.append


class Run(RunScope):
    """One run of one graph."""

    outbox: Outbox
    graph_run: NodeRun | None
    """The graph's own run in LangChain's callbacks, as long as nobody was told of its end."""
    shows_values: bool
    """Somebody receives the state after every superstep."""
    has_values: bool
    """Whether the state was ever shown: a run that wrote nothing has no result."""
    last_values: Any
    emit_end: EmitEnd | None
    """Tell who looks at nested graphs that this one has ended, and how."""
    __slots__ = tuple(__annotations__)

    def __init__(
        self, request: RunRequest, outbox: Outbox, waits: Waits, call: Callable[..., Any]
    ) -> None:
        super().__init__(request, waits)
        self.outbox = outbox
        self.buffer_limit = outbox.limit
        self.call = call
        self.listener = request.listener
        self.graph_run = self.emit_end = self.last_values = None
        self.shows_values = self.has_values = False
        if request.recording is not None:
            request.recording.open()

    def enter(self, loaded: LoadedCheckpoint) -> None:
        """Build the machine, from the saved checkpoint if there is one, and give it its input."""
        saved, request, parent = loaded.saved, self.request, self.parent
        lineage = self._open_recorder(loaded) if self.saver is not None else None
        # By position, because classes are slow to call by name up to Python 3.11.
        machine = self.machine = machine_class(self.name)(
            self.spec,
            self._observer(lineage),
            self.limits,
            self.clock.new_id,
            self.ns,
            lineage,
            saved.checkpoint["channel_values"] if saved is not None else None,
            (saved.pending_writes or ()) if saved is not None else (),
            parent.run.machine.answers if parent is not None else None,
        )
        if self.recorder is not None:
            self.recorder.leave_out(self.untracked())
            nesting = request.nesting
            if parent is not None and nesting.new_number is not None:
                config = parent.run.checkpoint_config(parent.task.checkpoint_id)
                self.recorder.add_place(parent.task, config, nesting.place, nesting.new_number)
        # A checkpoint without versions is that of a thread that has not begun.
        is_known = saved is not None and bool(saved.checkpoint["channel_versions"])
        # Only now: whether an input begins a thread or goes on depends on what the saver had.
        assert request.start is not None
        start = request.start(machine, is_known)
        if start.is_resuming:
            self._resume(start, loaded)
        elif (entered := self._enter_directly(start.writes)) is not None:
            machine.begin(entered, is_entry=True)
        else:
            machine.begin(start.writes, is_newest=loaded.is_newest)

    def _open_recorder(self, loaded: LoadedCheckpoint) -> Lineage:
        opened = open_recorder(self, loaded)
        self.recorder, self.stamps = opened.recorder, opened.stamps
        # With durability `exit` nothing is stored before the end, and what is said is not held back
        # for it.
        if self.request.durability != "exit":
            self.ahead = self.request.ahead
        self.origin_id, self.saved_parent = opened.origin_id, opened.parent_config
        self.named_checkpoints = loaded.named_checkpoints
        return opened.lineage

    def _enter_directly(self, writes: Sequence[Write]) -> list[Write] | None:
        """Return what the input writes to the state, if the superstep that does so can be left out.

        It is a superstep like any other, but calls nobody, waits for nothing and is not shown. So
        there is no need for it where nobody stores what is before it or sees what is after it, or
        may stop the run there.
        """
        request = self.request
        limits, entry = request.limits, self.spec.entry
        if (
            entry is None
            or self.recorder is not None
            or self.shows_values
            or limits.before
            or limits.after
            or request.control.drain_requested
            or len(writes) != 1
        ):
            return None
        try:
            written: list[Write] = entry.body.to_writes(writes[0][1])
        except Exception:
            return None  # it is raised again where such errors belong
        return written

    @property
    def is_alone(self) -> bool:
        """Say whether nothing but the machine has a part in planning: no cache, caller or timeout.

        A saver has none as long as nothing is pending.
        """
        return self.parent is None and self.cache is None and self.step_timeout is None

    def _resume(self, start: RunStart, loaded: LoadedCheckpoint) -> None:
        """Continue the saved run, and keep what its input wrote with the checkpoint."""
        machine, saved = self.machine, loaded.saved
        assert saved is not None
        assert machine.lineage is not None
        checkpoint_id = machine.lineage.id
        if self.ahead is not None:
            self.ahead.go_on(self.namespace, saved.metadata or {})
        machine.resume(
            start.writes,
            answers=start.answers,
            is_strict=bool(self.configurable.get(CONFIG_KEY_STRICT_RESUME)),
            point=loaded.point,
        )
        self.resumed_step = machine.step
        # The run goes on from the checkpoint itself. Where it forks, its first checkpoint has what
        # the command wrote.
        if machine.lineage.id == checkpoint_id and start.writes and self.recorder is not None:
            kept = delta_history.commands_to_keep(
                machine, is_shared=loaded.point is ResumePoint.PAST
            )
            self.recorder.add_commands(kept, self.checkpoint_config(checkpoint_id))
        # Nested runs ask the root: what was after the checkpoint must not be there for them either.
        if self.parent is None and machine.is_travelling:
            self.replay = Replay(before_branch(saved))

    def _observer(self, lineage: Lineage | None) -> Observer:
        """Return what tells everybody who wants to see something of this run."""
        above = self.parent.run.forwards if self.parent is not None else ()
        if self.request.recording is not None:
            above = [*above, (self.request.recording.emit, RECORDED)]
        observer = NOT_WATCHED
        if self.subscription.modes or above:
            observer = self._showing(lineage, above)
        if self.result.is_result_wanted:
            if observer is NOT_WATCHED:
                observer = Observer()
            observer.state_changed = both(self._record_values, observer.state_changed)
        return observer

    def _showing(
        self, lineage: Lineage | None, above: Sequence[tuple[Emit, frozenset[str]]]
    ) -> Observer:
        """Return the observer that shows the run to its consumer, and to those above."""
        subscription, parent = self.subscription, self.parent
        own, emit_from_task = self.outbox.emit, self.outbox.emit_from_task
        targets: dict[str, list[Emit]] = {}
        for emit, modes in [(own, subscription.modes), *above]:
            for mode in modes:
                # By mode, so that a fact is made into a payload once for all who want it.
                targets.setdefault(mode, []).append(emit)
        if subscription.has_subgraphs:
            self.forwards = [*above, (own, subscription.modes)]
        elif above:
            self.forwards = above
        # To the nearest consumer alone, who has said by `subgraphs` whether he wants those from
        # below. A writer has one place to write to.
        if CUSTOM in subscription.modes:
            self.emit_custom = emit_from_task
        elif above and parent is not None:
            self.emit_custom = parent.run.emit_custom
        if (tape := self.request.recording) is not None:
            self.emit_custom = emit_custom_to(
                tape, self, self.emit_custom, has_subgraphs=subscription.has_subgraphs
            )
        self.taps = taps_of(self, emit_from_task)
        self.ears = ears_of(self.taps)
        if tool_taps := tool_taps_of(self, emit_from_task):
            self.tool_taps = tool_taps
        self.writer = self._make_writer()
        if VALUES in targets:
            self.shows_values = True
        emits = targets.get(GRAPHS)
        if emits and parent is not None:
            self.emit_end = emit_started(self, parent, emits)
        return observe(
            RunView(  # by position: see `enter`
                self,
                lineage,
                self.namespace,
                targets,
                subscription.output_keys,
                subscription.watched,
                subscription.read,
                self.shape,
                parent is None,
            )
        )

    def _make_writer(self) -> StreamWriter:
        emit, namespace = self.emit_custom, self.namespace
        if emit is None:
            return _no_op_stream_writer
        return lambda item: emit((namespace, CUSTOM, item, None))

    def _record_values(self, updated: Collection[str] | None) -> None:
        """Take note that the state was shown, and of one that will not last."""
        if updated is None or not self.result.watched.isdisjoint(updated):
            self.has_values = True
            if self.spec.has_fading_values:
                self.last_values = self.result.read(self.machine.cells)

    def read(self) -> Any:
        """Return the state, as much of it as the consumer asked for."""
        return self.subscription.read(self.machine.cells)

    def report(self, context: TaskContext, error: BaseException | None) -> Task | None:
        """Tell the machine how a task ended; return the task that handles a failure, if any."""
        machine, task = self.machine, context.task
        promise = None if self.ahead is None else self.ahead.promise()
        # First: what late code of the task does from now on is not part of it.
        context.is_over = True
        if self.heartbeats is not None:
            self.heartbeats.record_event()
        del context.ambient_config  # configs refer back to the context: leave no cycle behind
        if context.made_config is not None:
            context.made_config = None
        handler = None
        if error is None:
            machine.finish(task)
        elif isinstance(error, GraphInterrupt):
            questions = all_questions(context, error.args[0] if error.args else ())
            # Whoever sees the error is to see all that stopped the task.
            if len(questions) > 1:
                error.args = (questions,)
            machine.pause(task, questions)
        else:
            handler = machine.fail(task, error)
        if self.recorder is not None:
            if task.waiting:
                record_progress(context)
            self.record_task(task, promise)
        return handler

    def commit(self, save: Callable[[], None] | None = None) -> None:
        """Commit the superstep, and note the new checkpoint for storing.

        What it wrote is shown after this, so it is time to `save`.
        """
        promise = None if self.ahead is None else self.ahead.promise()
        try:
            self.machine.commit()
        finally:
            self.record_checkpoint(promise)
        if save is not None:
            save()

    def record_checkpoint(self, promise: Promise | None = None) -> None:
        """Take the machine's new checkpoint, if any, to be stored."""
        if self.recorder is None:
            return
        if (save := self.machine.take_save()) is not None:
            if promise is None and self.ahead is not None:
                promise = self.ahead.promise()
            self.recorder.add_checkpoint(save, promise)
        elif promise is not None:
            promise.keep()

    def close_recorder(self) -> None:
        """Have stored what was held back until the end of the run.

        With durability `exit` a nested run that has ended well leaves nothing: its result is with
        its caller. One that keeps its state between calls does, and one that went on from where it
        had asked: its caller may have more to ask, and would find the question open again.
        """
        assert self.recorder is not None
        machine: RunMachine | None = getattr(self, "machine", None)
        # A namespace with a task's id in it, which no later call of the graph has again.
        is_fleeting = self.parent is not None and NS_END in self.ns and not self.origin_id
        has_ended_well = machine is not None and machine.status is DONE
        if self.request.durability == "exit" and is_fleeting and has_ended_well:
            self.recorder.give_up()
        if machine is not None and machine.is_at_breakpoint:
            self.recorder.add_stop(self.checkpoint_config(machine.checkpoint_id))
        self.recorder.close()

    def record_failure(self, error: BaseException) -> None:
        """Take note of the error the run ends with.

        The failure of a task stays visible in an error that takes its place: a saver's.
        """
        machine: RunMachine | None = getattr(self, "machine", None)
        failed = machine.failure if machine is not None else None
        # Not where the error says itself what it came from.
        if failed is not None and failed.error is not error and error.__context__ is None:
            error.__context__ = failed.error
        self._emit_end(error)
        end_recording(self, error)

    def conclude(self) -> None:
        """Raise what the run's end means to its caller; return if it ended well.

        A root run that waits for a person ends well. A nested one tells its parent by raising.
        """
        machine = self.machine
        if machine.status is not DONE:
            self._raise_end(machine)
        self._emit_end(None)
        end_recording(self, None)
        self.close()

    def close(self) -> None:
        """Let go of whoever refers back to the run, when it has ended well.

        The observer, and the driver's way to start calls: without them the run is in no cycle, and
        the state is freed when its caller lets go of the result, not when the collector comes by. A
        run that failed stays in the traceback of its error anyway.
        """
        self.machine.close()
        self.call = call_too_late

    def _raise_end(self, machine: RunMachine) -> None:
        """Raise what it means to its caller that the run did not come to its end."""
        status = machine.status
        # The very error of the task, with its traceback.
        if status is RunStatus.FAILED:
            assert machine.failure is not None
            assert machine.failure.error is not None
            raise machine.failure.error
        if status is RunStatus.OUT_OF_STEPS:
            raise recursion_error(machine.limits.steps)
        if status is RunStatus.DRAINED:
            raise GraphDrained(self.control.drain_reason or "")
        if self.parent is not None and status in (RunStatus.PAUSED, RunStatus.BREAKPOINT):
            # Called by a strand: its caller may wait for others before it hears of the questions.
            if self.request.nesting.place:
                self.parent.record_questions(machine.questions)
            record_nested_questions(self.parent, machine.tasks)
            raise GraphInterrupt(tuple(machine.questions))

    def _emit_end(self, error: BaseException | None) -> None:
        """Tell who looks at nested graphs how this one has ended."""
        emit_end, self.emit_end = self.emit_end, None
        if emit_end is not None:
            emit_end(error)

    def output(self) -> Any:
        """Return the last state that was shown, None if there was none."""
        if not self.has_values:
            # A question shows the state, too: of an earlier run, if the input has changed nothing.
            return self.result.read(self.machine.cells) if self.machine.interrupts else None
        if self.spec.has_fading_values:
            return self.last_values
        return self.result.read(self.machine.cells)

    @property
    def is_here(self) -> bool:
        """Say whether the code that asks belongs to a task of the run, however deep."""
        config = var_child_runnable_config.get()
        context: TaskContext | None = None if config is None else task_context_of(config)
        # Up through the tasks that the code is nested in.
        while context is not None and context.run is not self:
            context = context.parent
        return context is not None

    @property
    def stops_others(self) -> bool:
        """Say whether a failure stops the tasks beside it.

        An answer that does not fit leaves its question as it was: others go on with theirs.
        """
        failed = self.machine.failure
        error = None if failed is None else failed.error
        return error is not None and not is_invalid_resume(error)

    def leave(self) -> None:
        """Take note that the driver stops, at the end of the run or before."""
        machine: RunMachine | None = getattr(self, "machine", None)
        self.is_left = machine is not None and machine.status not in ENDED
        if self.is_left:
            self.outbox.refuse()
        self.outbox.close()

    def abandon(self) -> None:
        """Take note that the reader has gone before the run ended, and stop threads that emit."""
        super().abandon()
        self.outbox.refuse()

    def begin_tracing(self, graph_run: NodeRun | None, listener: EventListener | None) -> None:
        """Take note of who is told of the run, and of who alone is."""
        self.callbacks = self.graph_run = graph_run
        self.listener = listener

    def end_tracing(self) -> None:
        """Take note that the end of the run is told: nobody is told of an error any more."""
        self.graph_run = None

    def record_finished(self, ended: Iterable[tuple[TaskContext, BaseException | None]]) -> None:
        """Have stored what tasks wrote that finished while the run was being left.

        When all of the superstep have, it is committed: the reader may have seen what they wrote.
        """
        machine: RunMachine | None = getattr(self, "machine", None)
        if machine is None or machine.status is not RunStatus.STEPPING:
            return
        for context, error in ended:
            if error is None:
                self.report(context, None)
        if machine.is_complete:
            # Where a channel refuses the writes, the next run is told so.
            with suppress(Exception):
                self.commit()
