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
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables.config import var_child_runnable_config

from millstream.drivers import caching, tracing
from millstream.drivers.context import TaskContext
from millstream.drivers.nodecall import add_task_note
from millstream.drivers.run import RunAbandoned
from millstream.drivers.store_task import StoreTask
from millstream.drivers.timeouts import attempt_in_time, timeout_of
from millstream.drivers.waiting import wait_through_cancellation
from millstream.errors import GraphBubbleUp, NodeCancelledError, ParentCommand

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from millstream.core.tasks import Task
    from millstream.drivers.run import Run
    from millstream.stream.parts import Part


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
    steps = driver.steps()
    try:
        async for item in steps:
            yield item
        run.conclude()
    except BaseException as error:
        await steps.aclose()
        if graph_run is not None:
            await graph_run.on_chain_error(error)
        raise
    if graph_run is not None:
        await graph_run.on_chain_end(run.traced_output())


TASK_NAME: Final = "millstream task"


class Inbox:
    """Where the driver waits for finished tasks and new parts.

    Usable from any thread. One wake-up serves a whole burst: only a waiting driver is woken.
    """

    __slots__ = ("_loop", "_parts", "_thread", "_waiter", "ended")

    def __init__(self, parts: deque[Part]) -> None:
        self._parts = parts
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiter: asyncio.Future[None] | None = None
        self.ended: deque[tuple[TaskContext, BaseException | None]] = deque()

    def put(self, part: Part) -> None:
        """Add a part for the consumer."""
        self._parts.append(part)
        if self._waiter is not None:
            self._wake()

    def end(self, context: TaskContext, error: BaseException | None) -> None:
        """Add a finished task."""
        self.ended.append((context, error))
        if self._waiter is not None:
            self._wake()

    def news(self) -> asyncio.Future[None]:
        """Return a future that is resolved when there is something to take; `disarm` it then."""
        waiter = self._waiter = self._loop.create_future()
        if self.has_news():
            waiter.set_result(None)
        return waiter

    def has_news(self) -> bool:
        """Say whether there is something to take."""
        return bool(self._parts or self.ended)

    def disarm(self) -> None:
        """Stop waiting."""
        self._waiter = None

    def _wake(self) -> None:
        if threading.get_ident() == self._thread:
            self.release()
        else:
            try:
                self._loop.call_soon_threadsafe(self.release)
            except RuntimeError:
                # The loop is closed: a thread of an abandoned run speaks to nobody.
                return

    def release(self) -> None:
        """Wake the driver if it is waiting."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class AsyncDriver:
    """The loop around one machine."""

    __slots__ = ("_deadline", "_inbox", "_queued", "_running", "_store", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self._inbox = Inbox(run.parts)
        self._running: dict[asyncio.Task[None], TaskContext] = {}
        self._queued: deque[Task] = deque()
        self._deadline: float | None = None
        self._store: StoreTask | None = None
        run.put = self._inbox.put

    async def steps(self) -> AsyncGenerator[Any, None]:
        """Run superstep after superstep, yielding items as they come."""
        run, ended = self.run, self._inbox.ended
        try:
            saver = run.saver
            run.enter(await saver.aget_tuple(run.load_config()) if saver is not None else None)
            parts = run.parts
            run.note_checkpoint()
            while (tasks := await self._plan()) is not None:
                self._start(tasks)
                while self._running or ended or parts:
                    if ended or not parts:
                        await self._settle()
                    for item in run.take():
                        yield item
                    if parts:
                        await asyncio.sleep(0)  # threads that emit must not keep the loop busy
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
            await self._save()
        if run.is_abandoned:
            raise RunAbandoned(run.name)
        tasks = run.machine.plan()
        if run.step_timeout is not None:
            self._deadline = time.monotonic() + run.step_timeout
        if tasks and run.cache is not None:
            tasks = await caching.areplay_cached(run, tasks)
        return tasks

    def _start(self, tasks: Sequence[Task]) -> None:
        self._queued.extend(tasks)
        self._start_queued()

    def _start_queued(self) -> None:
        limit = self.run.max_concurrency
        while self._queued and (limit is None or len(self._running) < limit):
            context = TaskContext(self.run, self._queued.popleft())
            task = spawn(self._perform(context))
            if not task.done():
                self._running[task] = context

    async def _settle(self) -> None:
        """Wait until something happened, and tell the machine which tasks have ended."""
        run, inbox, deadline = self.run, self._inbox, self._deadline
        if deadline is None:
            try:
                await inbox.news()
            finally:
                inbox.disarm()
        else:
            await self._settle_until(deadline)
        ended = inbox.ended
        while ended:
            context, error = ended.popleft()
            handler = run.report(context, error)
            if handler is not None:
                self._start([handler])
            if run.journal is not None:
                await self._save()
            if run.machine.failure is not None:
                await self._cancel_running()

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
            inbox.disarm()
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
        if self._queued:
            self._start_queued()
        self._inbox.end(context, error)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            # The loop raises it to its caller; asking here keeps it from being reported as unseen.
            current.add_done_callback(asyncio.Task.exception)
            raise error

    async def _cancel_running(self) -> None:
        """Cancel what is running and wait until it has stopped, however often we are cancelled."""
        self._queued.clear()
        cancelled: asyncio.CancelledError | None = None
        for task, context in self._running.items():
            context.is_over = context.is_cancelled = True
            task.cancel()
        while running := list(self._running):
            cancelled = await wait_through_cancellation(running) or cancelled
            for task in running:
                if task.done():
                    self._running.pop(task, None)
        if cancelled is not None:
            raise cancelled

    async def _save(self) -> None:
        """Carry out what has to be stored, as the run's durability says."""
        journal = self.run.journal
        assert journal is not None
        if journal.durability == "async" and self._store is None:
            self._store = StoreTask(journal.saver)
        while journal.pending:
            operation = journal.pending.popleft()
            try:
                if self._store is not None:
                    await self._store.put(operation)
                else:
                    await operation.astore(journal.saver)
            except asyncio.CancelledError:
                if self._store is None:
                    # It was not stored: `_close` will try again.
                    journal.pending.appendleft(operation)
                raise
            except Exception:
                journal.give_up()
                raise

    async def _close(self) -> None:
        """Stop what is still running, and store what was held back."""
        try:
            if self._running:
                await self._cancel_running()
        finally:
            journal = self.run.journal
            if journal is not None:
                self.run.note_finished(self._inbox.ended)
                journal.close()
                try:
                    await self._save()
                finally:
                    if self._store is not None:
                        await self._store.close()


def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start an asyncio task in a copy of the current context.

    `asyncio.Task` directly where nobody has replaced how tasks are made: this is done once per
    task of a graph, and making up a name for each costs as much as making it.
    """
    if sys.version_info >= (3, 11):
        loop, ambient = asyncio.get_running_loop(), contextvars.copy_context()
        if loop.get_task_factory() is None:
            return asyncio.Task(work, loop=loop, name=TASK_NAME, context=ambient)
        return loop.create_task(work, context=ambient)
    return contextvars.copy_context().run(asyncio.create_task, work)


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
