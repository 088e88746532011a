"""The async driver: runs a graph in the asyncio task that reads its stream.

Every task of a superstep is an asyncio task in a context of its own, so that the ambient config
reaches what the node awaits, on Python 3.10 too. The reader and the nodes meet in an `Inbox`.
Nothing outlives the run: leaving it early, by closing the stream or by cancelling its reader,
cancels the running nodes and waits for them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from millstream._base.cancellation import wait_through_cancellation
from millstream.drivers import graph_callbacks
from millstream.drivers.callers import NOBODY, Callers
from millstream.drivers.context import TaskContext
from millstream.drivers.inbox import Inbox
from millstream.drivers.loading import UNSAVED, load
from millstream.drivers.node_context import NodeContext
from millstream.drivers.planning import must_wait, plan, plan_at_once
from millstream.drivers.run import Run, outlet_of
from millstream.drivers.spawning import spawn_in, spawner
from millstream.drivers.task_calls import (
    AnyFuture,
    CallContext,
    begin_call,
    place_of_call,
    report_call,
    resolve_call,
)
from millstream.drivers.task_execution import execute, execute_call
from millstream.drivers.waits import AWAITING
from millstream.outbox.abandoned import RunAbandoned
from millstream.outbox.outbox import NO_ITEM, Outbox
from millstream.saving.async_flusher import AsyncFlusher

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from millstream.core.spec import NodeSpec
    from millstream.core.strands import Strand
    from millstream.core.tasks import Task
    from millstream.drivers.run_request import RunRequest


NO_LOCK: Final = nullcontext()
"""What is told in the loop's thread needs none."""


def drive(prepare: Callable[[], RunRequest]) -> AsyncGenerator[Any, None]:
    """Run a graph and yield what its consumer asked for.

    Nothing happens before the first item is requested. When the generator is closed or its reader
    is cancelled, it returns only after every node of the run has stopped.
    """
    return AsyncDriver().items(prepare)


class AsyncDriver:
    """The loop around one machine."""

    run: Run
    _inbox: Inbox
    _spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    _flusher: AsyncFlusher
    """For a run that saves."""
    _deadline: float | None = None
    _callers: Callers = NOBODY
    _trouble: BaseException | None = None
    """The saver's error, met by a call."""
    _is_stopping = False
    _is_closed = False
    """The run is over: what is on its way to the event loop may never be heard there."""
    _is_starting = False
    _is_committed = False
    """The superstep was committed as soon as its last task had ended."""
    _is_eager = False
    """Tasks have ended while they were started."""
    _queued: deque[TaskContext] | None = None
    """Tasks that wait until fewer are running, and calls; None as long as there were none."""

    def __init__(self) -> None:
        self._running: dict[TaskContext, asyncio.Task[None]] = {}
        self._coming: set[Future[Any]] = set()
        """Calls by other threads that the event loop has not heard of yet."""

    async def items(self, prepare: Callable[[], RunRequest]) -> AsyncGenerator[Any, None]:
        """Do what `drive` says.

        Running tasks refer to the driver, which does not refer to this: a stream that nobody reads
        any more is collected, and thereby closed, while its tasks run.
        """
        run = self._make_run(prepare())
        inbox, outbox = self._inbox, run.outbox
        try:
            try:
                await self._enter()
                # One generator for all of this, because every item passes through it.
                parts, ended, plan = inbox.parts, inbox.ended, run.machine.plan
                take, encode, is_alone = outbox.take_part(), outbox.encoder(), run.is_alone
                pending = () if run.recorder is None else run.recorder.pending
                while (
                    tasks := plan() if is_alone and not pending else await self._plan()
                ) is not None:
                    self._start(tasks)
                    while ended or parts or self._running:
                        if not ended and not parts:
                            await (inbox.news() if self._deadline is None else self._wait())
                        if (ended or self._trouble is not None) and self._report_ended():
                            await self._store_ended()
                        # Those that are there now: a task that always emits must not keep others
                        # from ending.
                        for _ in parts and range(len(parts)):
                            if (item := encode(take())) is not NO_ITEM:
                                yield item
                        if parts:
                            await asyncio.sleep(0)  # threads that emit must not keep the loop busy
                    self._commit()
                for item in parts and outbox.take():
                    yield item
            except Exception:
                for item in outbox.take():
                    yield item
                raise
            finally:
                await self._close()
            await self._conclude()
        except BaseException as error:
            await self._fail(error)
            raise

    def _make_run(self, request: RunRequest) -> Run:
        """Return the run, and have everything that happens in it arrive here."""
        inbox = self._inbox = Inbox()
        self._spawn = spawner(inbox.loop)
        outbox = Outbox(
            request.name,
            request.subscription,
            inbox.parts,
            inbox,
            request.max_buffered,
            inbox.soon,
            outlet_of(request),
        )
        if request.listener is not None:
            outbox.listen_to(request.listener)
        self.run = Run(request, outbox, AWAITING, self._call)
        return self.run

    async def _enter(self) -> None:
        """Tell who listens, load what is saved, and give the run its input."""
        run = self.run
        if run.is_traced:
            await graph_callbacks.notify_started(run)
        loaded = UNSAVED
        if run.saver is not None:
            self._flusher = AsyncFlusher()
            loaded = await load(run, run.saver)
        run.enter(loaded)
        if run.graph_run is not None:
            await graph_callbacks.notify_resumed(run, run.graph_run)
        run.record_checkpoint()

    async def _conclude(self) -> None:
        """Tell how the run ended well; raise if it did not."""
        run = self.run
        run.conclude()
        if run.graph_run is not None:
            await graph_callbacks.notify_ended(run, run.graph_run)

    async def _fail(self, error: BaseException) -> None:
        """Tell that the run ended with an error, if its end was not told yet."""
        self.run.record_failure(error)
        await graph_callbacks.notify_failed(self.run, error)

    async def _plan(self) -> Sequence[Task] | None:
        """Return the tasks to run in the next superstep, None at the end of the run."""
        run = self.run
        if run.recorder is not None:
            await self._flusher.flush(run.recorder)
        tasks = await plan(run) if must_wait(run) else plan_at_once(run)
        if run.step_timeout is not None:
            self._deadline = run.clock.monotonic() + run.step_timeout
        return tasks

    def _start(self, tasks: Sequence[Task]) -> None:
        run = self.run
        if run.max_concurrency is not None:
            self._enqueue([NodeContext(run, task) for task in tasks])
            return
        for task in tasks:
            context = NodeContext(run, task)
            self._record_started(context, self._spawn(self._perform(context)))

    def _enqueue(self, contexts: Sequence[TaskContext]) -> None:
        if self._queued is None:
            self._queued = deque()
        self._queued.extend(contexts)
        self._start_queued()

    def _start_queued(self) -> None:
        if self._is_starting:
            return  # an eager task has ended, or calls another, within the loop below: it goes on
        self._is_starting = True
        try:
            while self._may_start_next():
                self._start_next()
        finally:
            self._is_starting = False

    def _may_start_next(self) -> bool:
        limit = self.run.max_concurrency
        busy = len(self._running) - len(self._callers)
        return bool(self._queued) and (limit is None or busy < limit)

    def _start_next(self) -> None:
        assert self._queued is not None
        context = self._queued.popleft()
        if isinstance(context, CallContext):
            started = spawn_in(context.ambient, self._perform_call(context))
            started.add_done_callback(partial(self._drop_call, context))
        else:
            started = self._spawn(self._perform(context))
        self._record_started(context, started)

    def _record_started(self, context: TaskContext, started: asyncio.Task[None]) -> None:
        if not started.done():
            self._running[context] = started
        else:
            self._is_eager = True

    def _report_ended(self) -> bool:
        """Tell the machine which tasks have ended, in order; say whether that is to be settled."""
        run, ended = self.run, self._inbox.ended
        while ended:
            # Taken away first: a handler may be an eager task, and report others.
            reported = ended[::-1]
            ended.clear()
            try:
                while reported:
                    handler = run.report(*reported.pop())
                    if handler is not None:
                        self._start((handler,))
            finally:
                ended[:0] = reported[::-1]
        return run.recorder is not None or run.machine.failure is not None or self._is_eager

    async def _store_ended(self) -> None:
        """Store what ended tasks wrote, and stop the others if something failed."""
        run = self.run
        if self._is_eager:
            # They have not given anybody a turn.
            self._is_eager = False
            await asyncio.sleep(0)
        if run.recorder is not None:
            if not self._running and not self._inbox.ended and run.machine.failure is None:
                # What the superstep wrote is in the thread before it is shown.
                self._commit()
                self._is_committed = True
            await self._flusher.flush(run.recorder)
        if run.stops_others:
            await self._cancel_running()
        if self._trouble is not None:
            raise self._trouble

    def _commit(self) -> None:
        if self._is_committed:
            self._is_committed = False
            return
        if self._trouble is not None:
            raise self._trouble
        self.run.commit()

    async def _wait(self) -> None:
        """Wait for news until the deadline; `TimeoutError` when there are none by then."""
        # Not asyncio.wait_for: before Python 3.12 it can swallow a cancellation.
        inbox, deadline = self._inbox, self._deadline
        assert deadline is not None
        remaining = max(0.0, deadline - self.run.clock.monotonic())
        timer = asyncio.get_running_loop().call_later(remaining, inbox.release)
        try:
            await inbox.news()
        finally:
            timer.cancel()
        if not inbox.has_news() and self.run.clock.monotonic() >= deadline:
            raise asyncio.TimeoutError

    async def _perform(self, context: TaskContext) -> None:
        if context not in self._running:
            # With eager tasks we are here before `spawn` returns.
            self._running[context] = cast("asyncio.Task[None]", asyncio.current_task())
        error: BaseException | None = None
        try:
            await execute(context)
        except BaseException as raised:
            error = raised
        del self._running[context]
        if self._callers:
            self._callers.forget(context)
        if self._queued:
            self._start_queued()
        # Last: the driver goes on with the superstep when it hears of this.
        self._inbox.end(context, error)
        if error is not None:
            _raise_exit(error)

    def _call(
        self, caller: TaskContext, node: NodeSpec, value: Any, strand: Strand | None = None
    ) -> AnyFuture:
        """Start what the code of a task calls; it may do so in any thread.

        The future is one for the caller's thread: to be awaited, or to be waited for.
        """
        ambient = contextvars.copy_context()
        place = place_of_call(caller, node, value, strand)
        if self._inbox.is_here:
            future = asyncio.get_running_loop().create_future()
            self._begin_call(caller, node, value, place, future, ambient)
            return future
        waited: Future[Any] = Future()
        self._coming.add(waited)
        # Only now, because who closes the run says so before it drops what is on its way.
        if self._is_closed or not self._inbox.soon(
            self._call_for_thread, caller, node, value, place, waited, ambient
        ):
            self._coming.discard(waited)
            raise RunAbandoned(self.run.name)
        return waited

    def _call_for_thread(
        self,
        caller: TaskContext,
        node: NodeSpec,
        value: Any,
        place: str,
        future: Future[Any],
        ambient: contextvars.Context,
    ) -> None:
        if future not in self._coming:
            return  # dropped
        self._coming.discard(future)
        try:
            self._begin_call(caller, node, value, place, future, ambient)
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _begin_call(
        self,
        caller: TaskContext,
        node: NodeSpec,
        value: Any,
        place: str,
        future: AnyFuture,
        ambient: contextvars.Context,
    ) -> None:
        run = self.run
        if self._is_stopping:
            raise RunAbandoned(run.name)
        if self._callers is NOBODY:
            self._callers = Callers(run.max_concurrency)
        threads = self._callers.workers
        context = begin_call(run, caller, node, value, place, future, threads)
        if context is None:
            return
        context.ambient = ambient
        if run.recorder is not None:
            self._flusher.expect_calls()
        self._callers.begin(caller)
        self._enqueue([context])

    async def _perform_call(self, context: CallContext) -> None:
        current = asyncio.current_task()
        assert current is not None
        self._running[context] = current  # with eager tasks we are here before `spawn` returns
        context.future.add_done_callback(partial(self._cancel_call, current, context))
        error = await execute_call(context, NO_LOCK)
        is_dropped = self._is_stopping or (context.is_cancelled and context.caller.is_cancelled)
        if not is_dropped:
            error = await self._end_call(context, error)
        del self._running[context]
        self._callers.forget(context)
        self._callers.end(context.caller)
        if self._queued:
            self._start_queued()
        resolve_call(context, error)
        self._inbox.release()
        if error is not None:
            _raise_exit(error)

    def _drop_call(self, context: CallContext, _: object = None) -> None:
        """Tell the caller of a call that was stopped before it had begun."""
        resolve_call(context, RunAbandoned(self.run.name))

    def _cancel_call(
        self, task: asyncio.Task[None], context: CallContext, future: AnyFuture
    ) -> None:
        """Stop a call whose caller has cancelled its future."""
        if not future.cancelled():
            return
        context.is_over = context.is_cancelled = True
        if self._inbox.is_here:
            task.cancel()
        else:
            self._inbox.soon(task.cancel)

    async def _end_call(
        self, context: CallContext, error: BaseException | None
    ) -> BaseException | None:
        """Report a call and store its result; return what its caller is told went wrong."""
        self._report_ended()  # its caller may be among them, and comes first
        report_call(context, error)
        if self.run.recorder is not None:
            try:
                await self._flusher.flush(self.run.recorder)
            except asyncio.CancelledError as raised:
                error = raised
            except Exception as raised:
                error = self._trouble = raised
        return error

    async def _cancel_running(self) -> None:
        """Cancel what is running and wait until it has stopped, however often we are cancelled."""
        self._is_stopping = True
        queue, self._queued = self._queued or (), None
        for queued in queue:
            if isinstance(queued, CallContext):
                self._drop_call(queued)
        cancelled: asyncio.CancelledError | None = None
        for context, task in self._running.items():
            context.is_over = context.is_cancelled = True
            task.cancel()
        # Not before: who waited goes on, and must see that it is cancelled.
        self.run.outbox.refuse()
        while self._running:
            cancelled = await wait_through_cancellation(self._running.values()) or cancelled
            self._running = {c: task for c, task in self._running.items() if not task.done()}
        if cancelled is not None:
            raise cancelled

    async def _close(self) -> None:
        """Stop what is still running, and store what was held back."""
        try:
            if self._running:
                await self._cancel_running()
        finally:
            self.run.leave()
            self._drop_coming()
            if self._callers.threads is not None:
                self._callers.threads.leave()
            recorder = self.run.recorder
            if recorder is not None:
                self.run.record_finished(self._inbox.ended)
                self.run.close_recorder()
                await self._flusher.finish(recorder)

    def _drop_coming(self) -> None:
        """Tell threads whose calls the event loop has not heard of: it may never run again."""
        self._is_closed = True
        for waited in tuple(self._coming):
            if waited.set_running_or_notify_cancel():
                waited.set_exception(RunAbandoned(self.run.name))
        self._coming.clear()


def _raise_exit(error: BaseException) -> None:
    """Raise what ends the whole program, so that the loop raises it to its caller."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        current = asyncio.current_task()
        assert current is not None
        # Asking for it keeps it from being reported as unseen.
        current.add_done_callback(asyncio.Task.exception)
        raise error
