"""How a run waits: the few things that a sync run does otherwise than an async one.

What happens to a task (`task_execution`), and to a graph that callback handlers hear of, is written
once, as coroutines. Whatever these wait for goes through the `Waits` of their run. Those of a sync
run block the thread and never suspend: `finish` carries such a coroutine out in one step, without
an event loop. Those of an async run are awaited in its loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables.config import (
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)

from millstream._base.workers import import_for_threads, resolve
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable, RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.store.base import BaseStore

    from millstream._base.clock import Clock
    from millstream._base.workers import Workers
    from millstream.drivers.executor import Execution, Item
    from millstream.modes.message_tap import MessageTap
    from millstream.outbox.backpressure import BufferLimit
    from millstream.saving.carrier import Operation

P = ParamSpec("P")
ResultT = TypeVar("ResultT")

LEAVE_CHECK: Final = 0.05
"""Seconds between two looks, while a thread sleeps, at whether the run was left."""


class StopCarrier(Exception):
    """Carries a `StopIteration` of a task's code out of the coroutines of a sync run.

    A coroutine that raised one would be taken to have ended, so Python makes another error of it.
    """

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


class Leavable(Protocol):
    """A run, which somebody may leave while it waits."""

    @property
    def clock(self) -> Clock:
        """What its time is measured with."""

    @property
    def name(self) -> str:
        """What it is called in errors."""

    @property
    def is_left(self) -> bool:
        """Whether its reader has gone before it ended."""

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits for it any more, because a run or task around it is gone."""


class Caller(Protocol):
    """The task that calls something."""

    @property
    def threads(self) -> Callable[[], Workers] | None:
        """Where an async run calls functions that are not async; None for the loop's own."""


CodeT = TypeVar("CodeT", bound=Caller)
CallerT = TypeVar("CallerT", contravariant=True)


class Callee(Protocol[CallerT]):
    """A function or runnable that a task calls."""

    @property
    def asimple(self) -> Callable[..., Awaitable[Any]] | None:
        """The async function, if it is given the value and nothing else."""

    @property
    def has_async(self) -> bool:
        """Whether there is something to await."""

    @property
    def may_block(self) -> bool:
        """Whether what is not async has nothing to do with event loops, and may take its time."""

    def call(self, value: Any, context: CallerT) -> Any:
        """Call it in this thread."""

    def acall(self, value: Any, context: CallerT) -> Awaitable[Any]:
        """Return what is to be awaited."""


class Waits(Protocol):
    """What the life of a task, and of a run, may wait for."""

    is_async: bool
    managers: Any
    """The class of LangChain's callback managers."""

    def manager_for(self, config: RunnableConfig) -> Any:
        """Return the callback manager of a config."""

    def notified(self, answer: Any) -> Awaitable[Any]:
        """Wait until callback handlers were told: what a manager's method returned."""

    def call(self, callee: Callee[CodeT], value: Any, context: CodeT) -> Awaitable[Any]:
        """Call code of a task."""

    def invoke(
        self, runnable: Runnable[Any, Any], value: Any, config: Mapping[str, Any]
    ) -> Awaitable[Any]:
        """Call a runnable."""

    def look_up(self, cache: BaseCache[Any], keys: Sequence[Any]) -> Awaitable[dict[Any, Any]]:
        """Ask a cache."""

    def keep(self, cache: BaseCache[Any], entries: dict[Any, Any]) -> Awaitable[None]:
        """Fill a cache."""

    def use(self, store: BaseStore, operations: Sequence[Any]) -> Awaitable[list[Any]]:
        """Have a store carry out operations."""

    def ask_saver(
        self, saver: BaseCheckpointSaver[Any], method: str, *args: Any, **kwargs: Any
    ) -> Awaitable[Any]:
        """Call a method of a saver, named as its sync one."""

    def list_saved(
        self, saver: BaseCheckpointSaver[Any], config: Any, **kwargs: Any
    ) -> Awaitable[list[CheckpointTuple]]:
        """Ask a saver for checkpoints; all at once, so that it holds no cursor meanwhile."""

    def store(self, operation: Operation, saver: BaseCheckpointSaver[Any]) -> Awaitable[Any]:
        """Have a saver store something."""

    def room_in(self, limit: BufferLimit) -> Awaitable[None]:
        """Wait until a reader that hears this run has room for more."""

    def next_of(self, execution: Execution, run: Leavable) -> Awaitable[Item]:
        """Wait for what a task does that runs elsewhere; see `sleep`."""

    def stop(self, execution: Execution) -> Awaitable[None]:
        """Stop a task that runs elsewhere, and wait until it has stopped."""

    def room_for(self, tap: MessageTap) -> Awaitable[None]:
        """Wait until who is told of messages has room for more."""

    def sleep(self, run: Leavable, seconds: float) -> Awaitable[None]:
        """Let time pass; a thread raises `RunAbandoned` soon after nobody waits for the run."""

    def give_turn(self) -> Awaitable[None]:
        """Let others go on who can."""


class Blocking:
    """The waits of a sync run: nothing is ever suspended."""

    is_async = False
    managers = CallbackManager

    def manager_for(self, config: RunnableConfig) -> CallbackManager:
        """Return the callback manager of a config."""
        return get_callback_manager_for_config(config)

    async def notified(self, answer: Any) -> Any:
        """Return the answer, which is there."""
        return answer

    async def call(self, callee: Callee[CodeT], value: Any, context: CodeT) -> Any:
        """Call it in this thread."""
        try:
            return callee.call(value, context)
        # A coroutine cannot raise one: Python would make a RuntimeError of it.
        except StopIteration as error:
            raise StopCarrier(error) from error

    async def invoke(
        self, runnable: Runnable[Any, Any], value: Any, config: Mapping[str, Any]
    ) -> Any:
        """Invoke it in this thread."""
        try:
            return runnable.invoke(value, config)  # type: ignore[arg-type]  # a dict subclass
        except StopIteration as error:
            raise StopCarrier(error) from error

    async def look_up(self, cache: BaseCache[Any], keys: Sequence[Any]) -> dict[Any, Any]:
        """Ask in this thread."""
        return cache.get(keys)

    async def keep(self, cache: BaseCache[Any], entries: dict[Any, Any]) -> None:
        """Fill it in this thread."""
        cache.set(entries)

    async def use(self, store: BaseStore, operations: Sequence[Any]) -> list[Any]:
        """Use it in this thread."""
        return store.batch(operations)

    async def ask_saver(
        self, saver: BaseCheckpointSaver[Any], method: str, *args: Any, **kwargs: Any
    ) -> Any:
        """Call it in this thread."""
        return getattr(saver, method)(*args, **kwargs)

    async def list_saved(
        self, saver: BaseCheckpointSaver[Any], config: Any, **kwargs: Any
    ) -> list[CheckpointTuple]:
        """Ask in this thread."""
        return list(saver.list(config, **kwargs))

    async def store(self, operation: Operation, saver: BaseCheckpointSaver[Any]) -> Any:
        """Store it in this thread."""
        return operation.store(saver)

    async def room_in(self, limit: BufferLimit) -> None:
        """Block until there is room."""
        limit.wait()

    async def next_of(self, execution: Execution, run: Leavable) -> Item:
        """Block until there is something, looking up now and then."""
        while (item := execution.poll()) is None:
            ready = threading.Event()
            execution.when_ready(ready.set)
            # Nobody wakes a thread whose reader has gone.
            while not ready.wait(LEAVE_CHECK):
                if run.is_left or run.is_abandoned:
                    raise RunAbandoned(run.name)
        return item

    async def stop(self, execution: Execution) -> None:
        """Block until it has stopped."""
        from millstream.drivers.executor import TaskOutcome

        execution.stop()
        while not isinstance(item := execution.poll(), TaskOutcome):
            if item is None:
                ready = threading.Event()
                execution.when_ready(ready.set)
                ready.wait()

    async def room_for(self, tap: MessageTap) -> None:
        """Do nothing: whoever tells blocks until there is room."""

    async def sleep(self, run: Leavable, seconds: float) -> None:
        """Sleep, looking up now and then."""

        def is_over() -> bool:
            return run.is_left or run.is_abandoned

        # In pieces, for the same reason.
        run.clock.sleep_unless(is_over, seconds, look=LEAVE_CHECK)
        if is_over():
            raise RunAbandoned(run.name)

    async def give_turn(self) -> None:
        """Do nothing: other threads go on by themselves."""


class Awaiting:
    """The waits of an async run, in its event loop.

    Most hand out what is to be awaited, which saves a coroutine around it.
    """

    is_async = True
    managers = AsyncCallbackManager

    def manager_for(self, config: RunnableConfig) -> AsyncCallbackManager:
        """Return the callback manager of a config."""
        return get_async_callback_manager_for_config(config)

    def notified(self, answer: Any) -> Awaitable[Any]:
        """Return the answer, which is to be awaited."""
        awaitable: Awaitable[Any] = answer
        return awaitable

    def call(self, callee: Callee[CodeT], value: Any, context: CodeT) -> Awaitable[Any]:
        """Await it, or call it when it is not async: in a worker thread if it may block."""
        if callee.asimple is not None:
            return callee.asimple(value)
        if callee.has_async:
            return callee.acall(value, context)
        return self._call_sync(callee, value, context)

    async def _call_sync(self, callee: Callee[CodeT], value: Any, context: CodeT) -> Any:
        # A runnable of others may have to do with the loop, and LangGraph calls it there too.
        if not callee.may_block:
            return callee.call(value, context)
        # A call of a task, which may call others: with the loop's own threads all could wait for
        # each other.
        if context.threads is not None:
            return await context.threads().wait_for(partial(callee.call, value, context))
        # What the code sets stays with it, as in a thread of its own.
        ambient = contextvars.copy_context()
        hold = [partial(ambient.run, _call_for_future, callee, value, context)]
        import_for_threads()
        await asyncio.get_running_loop().run_in_executor(None, _swap_for_result, hold)
        return hold.pop()

    def invoke(
        self, runnable: Runnable[Any, Any], value: Any, config: Mapping[str, Any]
    ) -> Awaitable[Any]:
        """Await it."""
        return runnable.ainvoke(value, config)  # type: ignore[arg-type]  # a dict subclass

    def look_up(self, cache: BaseCache[Any], keys: Sequence[Any]) -> Awaitable[dict[Any, Any]]:
        """Ask and wait."""
        return cache.aget(keys)

    def keep(self, cache: BaseCache[Any], entries: dict[Any, Any]) -> Awaitable[None]:
        """Fill it and wait."""
        return cache.aset(entries)

    def use(self, store: BaseStore, operations: Sequence[Any]) -> Awaitable[list[Any]]:
        """Use it and wait."""
        return store.abatch(operations)

    def ask_saver(
        self, saver: BaseCheckpointSaver[Any], method: str, *args: Any, **kwargs: Any
    ) -> Awaitable[Any]:
        """Call its async twin."""
        awaitable: Awaitable[Any] = getattr(saver, f"a{method}")(*args, **kwargs)
        return awaitable

    async def list_saved(
        self, saver: BaseCheckpointSaver[Any], config: Any, **kwargs: Any
    ) -> list[CheckpointTuple]:
        """Ask and wait."""
        return [saved async for saved in saver.alist(config, **kwargs)]

    def store(self, operation: Operation, saver: BaseCheckpointSaver[Any]) -> Awaitable[Any]:
        """Store it and wait."""
        return operation.astore(saver)

    async def room_in(self, limit: BufferLimit) -> None:
        """Await room, or block where this is not the reader's thread."""
        limit.wait()
        await limit

    async def next_of(self, execution: Execution, run: Leavable) -> Item:
        """Await something."""
        while (item := execution.poll()) is None:
            await _readiness(execution)
        return item

    async def stop(self, execution: Execution) -> None:
        """Wait until it has stopped, however often we are cancelled."""
        from millstream.drivers.executor import TaskOutcome

        cancelled: asyncio.CancelledError | None = None
        execution.stop()
        while not isinstance(item := execution.poll(), TaskOutcome):
            if item is None:
                try:
                    await _readiness(execution)
                except asyncio.CancelledError as error:
                    cancelled = error
        if cancelled is not None:
            raise cancelled

    async def room_for(self, tap: MessageTap) -> None:
        """Await it, as models do."""
        if tap.room is not None:
            await tap.room

    def sleep(self, run: Leavable, seconds: float) -> Awaitable[None]:
        """Sleep: whoever leaves the run cancels what sleeps."""
        return run.clock.asleep(seconds)

    def give_turn(self) -> Awaitable[None]:
        """Give the loop a turn."""
        return asyncio.sleep(0)


BLOCKING: Final = Blocking()
AWAITING: Final = Awaiting()


def _readiness(execution: Execution) -> asyncio.Future[None]:
    """Return a future that is resolved when a task that runs elsewhere has done something."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        # A loop that is closed has left the run without stopping it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve, ready, None, None)

    execution.when_ready(wake)
    return ready


def finish(
    work: Callable[P, Coroutine[Any, Any, ResultT]], *args: P.args, **kwargs: P.kwargs
) -> ResultT:
    """Carry out a coroutine that waits by blocking, and so never suspends.

    It is made here: one that is made before is complained of when Ctrl-C comes at the call.
    """
    steps = work(*args, **kwargs)
    try:
        steps.send(None)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    except StopCarrier as carrier:
        raise carrier.error from None
    # A fault of ours: something in it waits for a loop.
    steps.close()
    raise RuntimeError("a coroutine of a sync run waits for an event loop")


def carried(error: BaseException) -> BaseException:
    """Return the error that code of a task has raised."""
    return error.error if isinstance(error, StopCarrier) else error


def _call_for_future(callee: Callee[CodeT], value: Any, context: CodeT) -> Any:
    try:
        return callee.call(value, context)
    except StopIteration as error:
        # A future cannot carry one: whoever awaits it would wait for ever.
        raise RuntimeError from error


def _swap_for_result(hold: list[Any]) -> None:
    """Replace the function in a list by its result.

    A worker thread lets go of what it was called with, and of what it returned, when the scheduler
    next lets it run: supersteps later, on a busy machine. What goes through the list is held by
    nobody but its taker.
    """
    hold.append(hold.pop()())
