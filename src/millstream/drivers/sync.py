"""The sync driver: runs a graph in the thread that reads its stream.

A superstep of one task runs right here. Only when several tasks run at once, or when the consumer
must receive while a node runs, are worker threads used; then everything - finished tasks and
wake-ups for new parts - arrives through one queue.

Code of a task may call other tasks, and then waits for them without coming back here. So a call
is run, reported and stored by its own worker thread, under the lock that keeps such threads and
this one out of each other's way.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from millstream._base.uninterrupted import uninterrupted
from millstream.drivers import graph_callbacks
from millstream.drivers.callers import NOBODY, Callers
from millstream.drivers.context import TaskContext
from millstream.drivers.loading import UNSAVED, load
from millstream.drivers.node_context import NodeContext
from millstream.drivers.planning import must_wait, plan, plan_at_once
from millstream.drivers.run import Run, outlet_of
from millstream.drivers.switch import RunSwitch
from millstream.drivers.task_calls import (
    CallContext,
    async_call_error,
    begin_call,
    place_of_call,
    report_call,
    resolve_call,
)
from millstream.drivers.task_execution import execute_call, execute_here
from millstream.drivers.waits import BLOCKING, finish
from millstream.errors import GraphBubbleUp
from millstream.outbox.abandoned import RunAbandoned
from millstream.outbox.outbox import NO_ITEM, NO_READER, Outbox
from millstream.saving.sync_flusher import SyncFlusher

if TYPE_CHECKING:
    from millstream.core.spec import NodeSpec
    from millstream.core.strands import Strand
    from millstream.core.tasks import Task
    from millstream.drivers.run_request import RunRequest
    from millstream.saving.recorder import Recorder

Ended: TypeAlias = "tuple[TaskContext, BaseException | None]"


def drive(prepare: Callable[[], RunRequest]) -> Generator[Any, None, None]:
    """Run a graph and yield what its consumer asked for.

    Nothing happens before the first item is requested. Closing the generator ends the run after
    the node functions that are running: they end when they emit something, or by themselves.
    """
    return SyncDriver().items(prepare)


class SyncDriver:
    """The loop around one machine."""

    run: Run
    wants_waking = True
    """No wake-up is on its way to the queue."""
    _flusher: SyncFlusher | None = None
    _here: TaskContext | None = None
    """The task that runs in the reader's thread."""
    _callers: Callers = NOBODY
    is_insisting = False
    """Ctrl-C does not cut short what is done to stop."""
    _is_owned = False
    """The run can be stopped from outside."""
    _trouble: BaseException | None = None
    """What ends the run, met in another thread: an error of the saver, no more threads, or its
    owner."""

    def __init__(self) -> None:
        self._running = 0
        """Tasks in worker threads."""
        self._calls: set[CallContext] | None = None
        """Calls that have not ended; None as long as there were none."""
        self._inbox: SimpleQueue[Ended | None] = SimpleQueue()
        self._lock = threading.Lock()
        """Held by whoever tells the machine something while other threads may do so too."""

    def items(self, prepare: Callable[[], RunRequest]) -> Generator[Any, None, None]:
        """Do what `drive` says."""
        request = prepare()
        outbox = Outbox(
            request.name,
            request.subscription,
            deque(),
            self if request.is_live else NO_READER,
            request.max_buffered,
            outlet=outlet_of(request),
        )
        run = self.run = Run(request, outbox, BLOCKING, self._call)
        if type(request.control) is RunSwitch and run.parent is None:
            self._is_owned = True
            request.control.attach(self.abandon)
        try:
            try:
                yield from self.steps()
                run.conclude()
                if run.graph_run is not None:
                    finish(graph_callbacks.notify_ended, run, run.graph_run)
            except (KeyboardInterrupt, SystemExit):
                # Two may come at once: before the second is raised, nothing else is called.
                while not self.is_insisting:
                    try:
                        self.stop()
                    except (KeyboardInterrupt, SystemExit):  # noqa: PERF203  # it happens once
                        continue
                raise
        except BaseException as error:
            run.record_failure(error)
            if run.graph_run is not None:
                finish(graph_callbacks.notify_failed, run, error)
            raise

    def abandon(self) -> None:
        """Stop the run from another thread, without waiting for that.

        What nodes emit raises from now on, and no superstep begins, in nested graphs neither.
        """
        self.run.abandon()
        self._trouble = RunAbandoned(self.run.name)
        self.wake()

    def steps(self) -> Iterator[Any]:
        """Run superstep after superstep, yielding items as they come."""
        run, request = self.run, self.run.request
        try:
            self._enter()
            # Nobody wants to receive while a node runs: a single one can run in this thread.
            is_patient = not request.is_live and request.step_timeout is None
            # Most runs have nothing to do between supersteps but to plan and to commit.
            plan = run.machine.plan if run.is_alone and not self._is_owned else self._plan
            commit = run.machine.commit if run.recorder is None else partial(run.commit, self._save)
            outbox, parts = run.outbox, run.outbox.parts
            take, encode = outbox.take_part(), outbox.encoder()
            # What a superstep wrote is handed out in place, because most steps do so.
            while (tasks := plan()) is not None:
                if parts:
                    yield from outbox.take()
                if is_patient and len(tasks) == 1:
                    self._perform_here(tasks[0])
                    if self._running:
                        yield from self._wait_for_all(None)
                elif tasks:
                    yield from self._perform_all(tasks)
                if self._trouble is not None:
                    raise self._trouble
                commit()
                for _ in range(len(parts)):
                    if (item := encode(take())) is not NO_ITEM:
                        yield item
            yield from parts and outbox.take()
        except Exception:
            yield from run.outbox.take()
            raise
        finally:
            self._close()

    def _enter(self) -> None:
        """Tell who listens, load what is saved, give the run its input, and have that stored."""
        run = self.run
        if run.request.is_traced:
            finish(graph_callbacks.notify_started, run)
        run.enter(UNSAVED if run.saver is None else finish(load, run, run.saver))
        if run.graph_run is not None:
            finish(graph_callbacks.notify_resumed, run, run.graph_run)
        if run.recorder is not None:
            run.record_checkpoint()
            self._save()

    def _plan(self) -> Sequence[Task] | None:
        """Return the tasks to run in the next superstep, None at the end of the run."""
        run = self.run
        if run.recorder is not None:
            self._save()
        if run.is_left:
            raise RunAbandoned(run.name)
        return finish(plan, run) if must_wait(run) else plan_at_once(run)

    def _perform_here(self, task: Task) -> None:
        """Run the only task of a superstep in this thread."""
        run = self.run
        context = self._here = NodeContext(run, task)
        error: BaseException | None = None
        try:
            copy_context().run(execute_here, context)
        # Ctrl-C is for this thread, not an end of the task.
        except (Exception, GraphBubbleUp) as raised:
            error = raised
        if self._calls is None:
            # Nothing was ever called, so no other thread reports.
            handler = run.report(context, error)
        else:
            with self._lock:
                handler = self._report(context, error)
        if handler is not None:
            self._perform_here(handler)

    def _perform_all(self, tasks: Sequence[Task]) -> Iterator[Any]:
        """Run tasks in worker threads, yielding what they emit while they run."""
        timeout = self.run.step_timeout
        self._running = len(tasks)
        for task in tasks:
            self._start(task)
        end = None if timeout is None else self.run.clock.monotonic() + timeout
        yield from self._wait_for_all(end)

    def _wait_for_all(self, deadline: float | None) -> Iterator[Any]:
        """Wait for the tasks in worker threads, yielding what they emit."""
        run = self.run
        while self._running:
            ended = self._wait(deadline)
            if ended is None:
                self.wants_waking = True
                if run.parent is not None and run.is_abandoned:
                    raise RunAbandoned(run.name)
            # The run was stopped, which the task has noticed first.
            elif isinstance(ended[1], RunAbandoned):
                raise ended[1]
            else:
                with self._lock:
                    self._running -= 1
                    handler = self._report(*ended)
                    if handler is not None:
                        self._running += 1
                    if run.recorder is not None:
                        self._save()
                if handler is not None:
                    self._start(handler)
            if self._trouble is not None:
                raise self._trouble
            if run.outbox.parts:
                yield from run.outbox.take()

    def _report(self, context: TaskContext, error: BaseException | None) -> Task | None:
        if self._callers:
            self._callers.forget(context)
        return self.run.report(context, error)

    def _wait(self, deadline: float | None) -> Ended | None:
        if deadline is None:
            return self._inbox.get()
        try:
            return self._inbox.get(timeout=max(0.0, deadline - self.run.clock.monotonic()))
        except Empty:
            raise TimeoutError("Timed out") from None

    def _start(self, task: Task) -> None:
        context = NodeContext(self.run, task)
        ambient = copy_context()
        self._threads().workers().submit(partial(ambient.run, self._perform, context))

    def _threads(self) -> Callers:
        if self._callers is NOBODY:
            self._callers = Callers(self.run.max_concurrency)
        return self._callers

    def _perform(self, context: TaskContext) -> None:
        error: BaseException | None = None
        try:
            execute_here(context)
        except BaseException as raised:
            error = raised
        if self._callers:
            with self._lock:
                # Its calls report for themselves, and must not be before it.
                has_reported = context in self._callers and self._end_caller(context, error)
            if has_reported:
                self.wake()
                return
        self._inbox.put((context, error))

    def _end_caller(self, context: TaskContext, error: BaseException | None) -> bool:
        self._running -= 1
        if error is not None and self.run.is_left:
            return True  # it was stopped
        handler = self._report(context, error)
        if handler is not None:
            try:
                self._start(handler)
                self._running += 1
            except RuntimeError as raised:
                self._trouble = raised
        self._save_here()
        return True

    def _call(
        self, caller: TaskContext, node: NodeSpec, value: Any, strand: Strand | None = None
    ) -> Future[Any]:
        """Start what the code of a task calls; it may do so in any thread."""
        if node.body.call.has_async:
            raise async_call_error()
        run, future = self.run, Future[Any]()
        place = place_of_call(caller, node, value, strand)
        with self._lock:
            threads = self._threads()
            threads.here = self._here
            context = begin_call(run, caller, node, value, place, future, threads.workers)
            if context is None:
                return future
            if self._calls is None:
                self._calls = set()
            self._calls.add(context)
            self._running += 1
            threads.begin(caller)
            workers = threads.workers()
        ambient = copy_context()
        try:
            workers.submit(partial(ambient.run, self._perform_call, context))
        except RuntimeError as error:
            self._finish_call(context, error)
        return future

    def _perform_call(self, context: CallContext) -> None:
        with self._lock:
            is_left = self.run.is_left
            context.has_begun = not is_left
        if is_left:
            resolve_call(context, RunAbandoned(self.run.name))  # its caller may wait in any thread
            return
        self._finish_call(context, finish(execute_call, context, self._lock))

    def _finish_call(self, context: CallContext, error: BaseException | None) -> None:
        with self._lock:
            error = self._end_call(context, error)
        # Not under the lock: whoever waits for the future may call the next task.
        resolve_call(context, error)
        self.wake()

    def _end_call(self, context: CallContext, error: BaseException | None) -> BaseException | None:
        """Report a call and store its result; return what its caller is told went wrong."""
        report_call(context, error)
        error = self._save_here() or error
        assert self._calls is not None
        self._calls.discard(context)
        self._running -= 1
        self._callers.forget(context)
        self._callers.end(context.caller)
        return error

    def _save_here(self) -> BaseException | None:
        """Store what is pending from a worker thread; return the saver's error, if any."""
        if self.run.recorder is not None and not self.run.is_left:
            try:
                self._save()
            except BaseException as error:
                # Whatever it is: this is a worker thread, and somebody waits for it.
                self._trouble = error
        return self._trouble

    def wake(self) -> None:
        """Have the reader's thread look up."""
        if self.wants_waking:
            self.wants_waking = False
            self._inbox.put(None)

    def _save(self) -> None:
        """Have stored what is pending, as the run's durability says."""
        recorder = self.run.recorder
        assert recorder is not None
        if not recorder.pending:
            return
        if self._flusher is None:
            self._flusher = SyncFlusher()
        self._flusher.flush(recorder)

    def _close(self) -> None:
        """Wait for what is still running, and store what was held back.

        Python closes a stream that nobody refers to in any thread, even in one that this would
        wait for. Then another one waits.
        """
        if sys.is_finalizing():
            self._close_last()
            return
        recorder = self.run.recorder
        if self._callers is NOBODY and recorder is None:
            # Nothing runs, and no thread but this one knows the run.
            self.run.leave()
            return
        if self._is_own(threading.current_thread()) or self.run.is_here:
            self._stop_elsewhere()
            return
        with self._lock:
            self.run.leave()
        if self.run.is_left or (recorder is not None and recorder.durability == "exit"):
            uninterrupted(self._insist)
        else:
            # Not worth the price at the end of a run: what Ctrl-C cuts short can be begun again.
            self._stop()

    def _is_own(self, thread: threading.Thread) -> bool:
        pools = (self._callers.threads, self._flusher)
        return any(threads is not None and threads.has(thread) for threads in pools)

    def stop(self) -> None:
        """Stop for certain: Ctrl-C may have come before `steps` has."""
        uninterrupted(self._close_insisting)

    def _close_insisting(self) -> None:
        self.is_insisting = True
        self._close()

    def _insist(self) -> None:
        self.is_insisting = True
        self._stop()

    def _stop(self) -> None:
        with self._lock:
            self.run.leave()
        self._drop_calls()
        try:
            if self._callers.threads is not None:
                self._callers.threads.close()
        finally:
            recorder = self._closed_recorder()
            if recorder is not None:
                (self._flusher or SyncFlusher()).finish(recorder)

    def _closed_recorder(self) -> Recorder | None:
        """Return the recorder of a run that saves, with what was held back."""
        if self.run.recorder is not None:
            self.run.record_finished(self._left_over())
            self.run.close_recorder()
        return self.run.recorder

    def _drop_calls(self) -> None:
        """Tell the callers of calls that will never begin, since the run was left."""
        for call in tuple(self._calls or ()):
            if not call.has_begun:
                resolve_call(call, RunAbandoned(self.run.name))

    def _stop_elsewhere(self) -> None:
        """Stop in a thread that may wait for this one."""
        self.is_insisting = True
        stopping = threading.Thread(target=self._stop, name="millstream-close", daemon=True)
        try:
            stopping.start()
        except RuntimeError:
            # Without waiting, and without a lock that this thread may hold.
            self.run.leave()
            self._drop_calls()
            for threads in (self._callers.threads, self._flusher):
                if threads is not None:
                    threads.leave()
            raise

    def _close_last(self) -> None:
        """Store what was held back while the interpreter ends: all other threads stand still.

        One that had something to do may have locks, of the saver for example, and keeps them.
        """
        busy = (self._callers.threads, self._flusher)
        if any(threads is not None and threads.is_busy for threads in busy):
            return
        self.run.leave()
        recorder = self._closed_recorder()
        if recorder is not None:
            SyncFlusher().flush_here(recorder)

    def _left_over(self) -> list[Ended]:
        """Take the tasks that finished while the run was being left."""
        # No generator: Python drops a Ctrl-C that comes while it frees one.
        finished = []
        while not self._inbox.empty():
            if (ended := self._inbox.get()) is not None:
                finished.append(ended)
        return finished
