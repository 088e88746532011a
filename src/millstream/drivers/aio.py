"""The async driver: runs a graph in the asyncio task that reads its stream.

Every task of a superstep is an asyncio task in a context of its own, so that the ambient config
reaches what the node awaits, on Python 3.10 too. The reader and the nodes meet in an `Inbox`.
Nothing outlives the run: leaving it early, by closing the stream or by cancelling its reader,
cancels the running nodes and waits for them.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables.config import var_child_runnable_config

from millstream.drivers import caching, lifecycle, tracing
from millstream.drivers.calls import (
    AnyFuture,
    CallContext,
    CallCounts,
    late_call_error,
    report_call,
    settle,
    with_defaults,
)
from millstream.drivers.context import TaskContext
from millstream.drivers.inbox import Inbox
from millstream.drivers.loading import aload
from millstream.drivers.nodecall import add_task_note
from millstream.drivers.outlet import RunAbandoned
from millstream.drivers.saving import AsyncSaving
from millstream.drivers.timeouts import attempt_in_time, timeout_of
from millstream.drivers.workers import MAX_THREADS, Workers
from millstream.errors import GraphBubbleUp, NodeCancelledError, ParentCommand
from millstream.waiting import wait_through_cancellation

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from millstream.core.spec import NodeSpec
    from millstream.core.tasks import Task
    from millstream.drivers.run import Run


async def drive(prepare: Callable[[], Run]) -> AsyncIterator[Any]:
    """Run a graph and yield what its consumer asked for.

    Nothing happens before the first item is requested. When the generator is closed or its reader
    is cancelled, it returns only after every node of the run has stopped.
    """
    driver = AsyncDriver(prepare())
    run = driver.run
    graph_run = None
    if run.is_traced:
        graph_run = await tracing.astart_graph(run.traced_config(), run.name, run.input)
        run.callbacks = graph_run
        run.listener = tracing.sole_listener(run, graph_run)
    steps = driver.stream = driver.steps()
    try:
        async for item in steps:
            yield item
        run.conclude()
        if graph_run is not None:
            await lifecycle.atell_ended(run, graph_run)
    except BaseException as error:
        run.note_failure(error)
        await steps.aclose()
        if graph_run is not None:
            await graph_run.on_chain_error(error)
        raise
    if graph_run is not None:
        await graph_run.on_chain_end(run.traced_output())


TASK_NAME: Final = "millstream task"


class AsyncDriver:
    """The loop around one machine."""

    __slots__ = (
        "_callers",
        "_deadline",
        "_inbox",
        "_is_stopping",
        "_queued",
        "_running",
        "_saving",
        "_threads",
        "_trouble",
        "run",
        "stream",
    )

    def __init__(self, run: Run) -> None:
        self.run = run
        self.stream: AsyncGenerator[Any, None] | None = None
        """What `drive` reads. Running tasks refer to it, so that what collects a run nobody refers
        to any more closes `drive` alone, which closes this in its turn."""
        self._inbox = Inbox(run.parts, run.outlet)
        self._running: dict[asyncio.Task[None], TaskContext] = {}
        self._queued: deque[TaskContext] = deque()
        self._deadline: float | None = None
        self._callers = CallCounts()
        self._threads: Workers | None = None
        """Threads for calls of functions that are not async."""
        self._saving = AsyncSaving()
        """Set when calls store results besides the reader."""
        self._trouble: BaseException | None = None
        """The saver's error, met by a call."""
        self._is_stopping = False
        run.put = self._inbox.put
        run.pour = self._inbox.pour
        if run.bound is not None:
            run.bound.soon = self._inbox.soon
        run.call = self._call
        run.is_async = True
        if run.listener is not None:
            run.listener.put = run.listener.pour = self._inbox.put

    async def steps(self) -> AsyncGenerator[Any, None]:
        """Run superstep after superstep, yielding items as they come."""
        run, inbox, ended = self.run, self._inbox, self._inbox.ended
        try:
            run.enter(await aload(run))
            if run.callbacks is not None:
                await lifecycle.atell_entered(run, run.callbacks)
            parts = run.parts
            run.note_checkpoint()
            while (tasks := await self._plan()) is not None:
                self._start(tasks)
                while self._running or ended or parts:
                    if not (parts or ended) and self._deadline is None:
                        await inbox.news()  # in place: most of what wakes us are single parts
                    if ended or not parts:
                        await self._settle()
                    for item in run.take():
                        yield item
                    if parts:
                        await asyncio.sleep(0)  # threads that emit must not keep the loop busy
                self._raise_trouble()
                run.commit()
            for item in run.take():
                yield item
        except Exception:
            for item in run.take():
                yield item
            raise
        finally:
            await self._close()

    async def _plan(self) -> Sequence[Task] | None:
        """Return the tasks to run in the next superstep, None at the end of the run."""
        run = self.run
        if run.journal is not None:
            await self._saving.save(run.journal)
        for bound in run.feeds:
            bound.wait()
            await bound
        if run.is_abandoned:
            raise RunAbandoned(run.name)
        tasks = run.machine.plan()
        if run.step_timeout is not None:
            self._deadline = time.monotonic() + run.step_timeout
        if tasks and run.cache is not None:
            tasks = await caching.areplay_cached(run, tasks)
        return tasks

    def _start(self, tasks: Sequence[Task]) -> None:
        run = self.run
        self._queued.extend(TaskContext(run, task) for task in tasks)
        self._start_queued()

    def _start_queued(self) -> None:
        limit = self.run.max_concurrency
        while self._queued and (limit is None or len(self._running) - len(self._callers) < limit):
            context = self._queued.popleft()
            if isinstance(context, CallContext):
                task = spawn(self._perform_call(context), context.ambient)
                task.add_done_callback(partial(self._drop_call, context))
            else:
                task = spawn(self._perform(context))
            if not task.done():
                self._running[task] = context

    async def _settle(self) -> None:
        """Tell the machine which tasks have ended; with a deadline, wait for something first.

        Without one `steps` has waited. What woke it may be neither a part nor a task that ended: a
        call that nobody waits for.
        """
        run, inbox = self.run, self._inbox
        if self._deadline is not None:
            await self._settle_until(self._deadline)
        while inbox.ended:
            self._report_ended()
            if run.journal is not None:
                await self._saving.save(run.journal)
            if run.machine.failure is not None:
                await self._cancel_running()
        self._raise_trouble()

    def _report_ended(self) -> None:
        """Tell the machine which tasks have ended, in the order in which they did."""
        ended = self._inbox.ended
        while ended:
            handler = self.run.report(*ended.popleft())
            if handler is not None:
                self._start([handler])

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    async def _settle_until(self, deadline: float) -> None:
        """Wait until something happened; `TimeoutError` when nothing has by then."""
        # Not asyncio.wait_for: before Python 3.12 it can swallow a cancellation.
        inbox = self._inbox
        remaining = max(0.0, deadline - time.monotonic())
        timer = asyncio.get_running_loop().call_later(remaining, inbox.release)
        try:
            await inbox.news()
        finally:
            timer.cancel()
        if not inbox.has_news() and time.monotonic() >= deadline:
            raise asyncio.TimeoutError

    async def _perform(self, context: TaskContext) -> None:
        current = asyncio.current_task()
        assert current is not None
        self._running[current] = context  # with eager tasks we are here before `spawn` returns
        error: BaseException | None = None
        try:
            await execute(context)
        except BaseException as raised:
            error = raised
        del self._running[current]
        if self._callers:
            self._forget(context)
        if self._queued:
            self._start_queued()
        self._inbox.end(context, error)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            # The loop raises it to its caller; asking here keeps it from being reported as unseen.
            current.add_done_callback(asyncio.Task.exception)
            raise error

    def _call(self, caller: TaskContext, node: NodeSpec, value: Any) -> AnyFuture:
        """Start what the code of a task calls; it may do so in any thread.

        The future is one for the caller's thread: to be awaited, or to be waited for.
        """
        ambient = contextvars.copy_context()
        if self._inbox.is_here:
            future = asyncio.get_running_loop().create_future()
            self._begin_call(caller, node, value, future, ambient)
            return future
        waited: Future[Any] = Future()
        if not self._inbox.soon(self._call_for_thread, caller, node, value, waited, ambient):
            raise RunAbandoned(self.run.name)
        return waited

    def _call_for_thread(
        self,
        caller: TaskContext,
        node: NodeSpec,
        value: Any,
        future: Future[Any],
        ambient: contextvars.Context,
    ) -> None:
        try:
            self._begin_call(caller, node, value, future, ambient)
        except BaseException as error:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _begin_call(
        self,
        caller: TaskContext,
        node: NodeSpec,
        value: Any,
        future: AnyFuture,
        ambient: contextvars.Context,
    ) -> None:
        run = self.run
        if self._is_stopping or run.is_left:
            raise RunAbandoned(run.name)
        if caller.is_over:
            raise late_call_error(node, caller)
        task = run.machine.call(caller.task, with_defaults(run, node), value)
        context = CallContext(run, task, caller, future, self._workers)
        if task.is_done:
            settle(context, None)
            return
        context.ambient = ambient
        self._saving.expect_calls()
        if self._callers.begin(caller) and self._threads is not None:
            self._threads.widen()
        self._queued.append(context)
        self._start_queued()

    async def _perform_call(self, context: CallContext) -> None:
        current = asyncio.current_task()
        assert current is not None
        self._running[current] = context
        context.future.add_done_callback(partial(self._note_settled, current, context))
        error: BaseException | None = None
        try:
            if context.future.cancelled():
                raise asyncio.CancelledError
            known = await caching.afind(context)
            if known is not None:
                self.run.machine.replay(context.task, known)
            else:
                await execute(context)
        except BaseException as raised:
            error = raised
        is_dropped = self._is_stopping or (context.is_cancelled and context.caller.is_cancelled)
        if not is_dropped:
            error = await self._end_call(context, error)
        del self._running[current]
        self._count_out(context)
        if self._queued:
            self._start_queued()
        settle(context, error)
        self._inbox.release()
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            current.add_done_callback(asyncio.Task.exception)
            raise error

    def _drop_call(self, context: CallContext, _: object = None) -> None:
        """Tell the caller of a call that was stopped before it had begun."""
        settle(context, RunAbandoned(self.run.name))

    def _note_settled(
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
        if self.run.journal is not None:
            try:
                await self._saving.save(self.run.journal)
            except asyncio.CancelledError as raised:
                error = raised
            except Exception as raised:
                error = self._trouble = raised
        return error

    def _count_out(self, context: CallContext) -> None:
        """Note that a call has ended: its caller waits for one less."""
        self._forget(context)
        if self._callers.end(context.caller) and self._threads is not None:
            self._threads.narrow()

    def _forget(self, caller: TaskContext) -> None:
        """Note that a task has ended, whether or not its calls have."""
        if self._callers.forget(caller) and self._threads is not None:
            self._threads.narrow()

    def _workers(self) -> Workers:
        if self._threads is None:
            limit = self.run.max_concurrency or MAX_THREADS
            self._threads = Workers(limit + len(self._callers))
        return self._threads

    async def _cancel_running(self) -> None:
        """Cancel what is running and wait until it has stopped, however often we are cancelled."""
        self._is_stopping = True
        for queued in self._queued:
            if isinstance(queued, CallContext):
                self._drop_call(queued)
        self._queued.clear()
        cancelled: asyncio.CancelledError | None = None
        for task, context in self._running.items():
            context.is_over = context.is_cancelled = True
            task.cancel()
        self.run.refuse()  # not before: who waited goes on, and must see that it is cancelled
        while running := list(self._running):
            cancelled = await wait_through_cancellation(running) or cancelled
            for task in running:
                if task.done():
                    self._running.pop(task, None)
        if cancelled is not None:
            raise cancelled

    async def _close(self) -> None:
        """Stop what is still running, and store what was held back."""
        try:
            if self._running:
                await self._cancel_running()
        finally:
            self.run.note_leaving()
            if self._threads is not None:
                self._threads.leave()
            journal = self.run.journal
            if journal is not None:
                self.run.note_finished(self._inbox.ended)
                self.run.close_journal()
                await self._saving.finish(journal)


def spawn(
    work: Coroutine[Any, Any, None], ambient: contextvars.Context | None = None
) -> asyncio.Task[None]:
    """Start an asyncio task in the context, a copy of the current one by default.

    `asyncio.Task` directly where nobody has replaced how tasks are made: this is done once per
    task of a graph, and making up a name for each costs as much as making it.
    """
    if ambient is None:
        ambient = contextvars.copy_context()
    if sys.version_info >= (3, 11):
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            return asyncio.Task(work, loop=loop, name=TASK_NAME, context=ambient)
        return loop.create_task(work, context=ambient)
    return ambient.run(asyncio.create_task, work)


async def execute(context: TaskContext) -> None:
    """Run a task until it succeeds or must not be tried again."""
    body = context.task.node.body
    timeout = timeout_of(context)
    context.start()
    while True:
        var_child_runnable_config.set(context.config)  # type: ignore[arg-type]  # a dict subclass
        try:
            if timeout is None:
                await body.aattempt(context)
            else:
                await attempt_in_time(context, timeout)
        except ParentCommand as signal:
            if not body.take_command(context, signal):
                raise
            await body.aapply_command(context, signal)
            return
        except GraphBubbleUp:
            raise
        except asyncio.CancelledError as error:
            if context.is_over:
                raise
            raise NodeCancelledError(context.task.name) from error
        except Exception as error:
            delay = body.retry_delay(context, error)
            if delay is None:
                add_task_note(error, context)
                raise
        else:
            if body.cache is not None:
                await caching.akeep(context)
            return
        context.is_over = True
        await asyncio.sleep(delay)
        context.next_attempt()
