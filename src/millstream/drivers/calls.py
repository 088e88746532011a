"""Calling a `@task` from the code of a running task: what both drivers need for it.

A driver gives the code a future, runs the call like any other task of the superstep, and settles
the future when the machine knows how the call ended.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeAlias

from millstream.constants import PUSH, RETURN
from millstream.core.spec import NodeSpec
from millstream.drivers.asking import note_questions, note_strands
from millstream.drivers.context import TaskContext, split_ns
from millstream.drivers.nodecall import NodeCall
from millstream.drivers.outlet import RunAbandoned
from millstream.drivers.strands import strand_of, text_of
from millstream.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from millstream.runnable import injected_parameters, is_async_callable

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackManager

    from millstream.core.calls import CallTask
    from millstream.core.protocol import Write
    from millstream.drivers.run import Run
    from millstream.drivers.watch import Watch
    from millstream.drivers.workers import Workers
    from millstream.types import CachePolicy, RetryPolicy, StreamWriter, TimeoutPolicy

AnyFuture: TypeAlias = "Future[Any] | asyncio.Future[Any]"


class FunctionCall:
    """How the function of a `@task` is called: with its own arguments, and what it wants injected.

    An argument the caller gave is not injected.
    """

    __slots__ = ("_func", "_injected", "is_async")

    steps: ClassVar[tuple[Any, ...]] = ()
    simple: ClassVar[None] = None
    asimple: ClassVar[None] = None

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self._injected = injected_parameters(func, has_input=False)
        self.is_async = is_async_callable(func)

    @property
    def target(self) -> Callable[..., Any]:
        """The function behind the call."""
        return self._func

    def bound_arguments(self, value: Any) -> Any:
        """Return the arguments by name, as far as they fit."""
        args, kwargs = value
        try:
            bound = inspect.signature(self._func).bind_partial(*args, **kwargs)
            bound.apply_defaults()
            return dict(bound.arguments)
        except (TypeError, ValueError):
            return {"args": args, "kwargs": kwargs}

    def call(self, value: Any, context: TaskContext) -> Any:
        """Call it in this thread."""
        args, kwargs = value
        return self._func(*args, **self._completed(kwargs, context))

    async def acall(self, value: Any, context: CallContext) -> Any:
        """Await it, or call it in a worker thread when it is not async."""
        args, kwargs = value
        named = self._completed(kwargs, context)
        if self.is_async:
            return await self._func(*args, **named)
        return await context.call_in_thread(partial(self._call_in_thread, value, named, context))

    def _call_in_thread(self, value: Any, named: dict[str, Any], context: CallContext) -> Any:
        # A frame that says whose code it calls, for those who look for it.
        return self._func(*value[0], **named)

    def _completed(self, kwargs: dict[str, Any], context: TaskContext) -> dict[str, Any]:
        if not self._injected:
            return kwargs
        return {**{name: context.injected(name) for name in self._injected}, **kwargs}


def call_node(
    func: Callable[..., Any],
    name: str,
    *,
    retry: tuple[RetryPolicy, ...],
    cache: CachePolicy[Any] | None,
    timeout: TimeoutPolicy | None,
) -> NodeSpec:
    """Return what a run needs to run calls of a function; it is in no graph."""
    body = NodeCall(
        call=FunctionCall(func),  # type: ignore[arg-type]  # the same shape
        to_writes=_returned,
        retry=retry,
        cache=cache,
        timeout=timeout,
    )
    return NodeSpec(name=name, triggers=(PUSH,), read=_nothing, body=body)


def _returned(result: Any) -> list[Write]:
    return [(RETURN, result)]


def _nothing(_: Any) -> None:
    return None


def with_defaults(run: Run, node: NodeSpec) -> NodeSpec:
    """Return the node with the policies of the graph where it has none of its own."""
    body: NodeCall = node.body
    retry, cache = body.retry or run.retry, body.cache or run.cache_policy
    if retry is body.retry and cache is body.cache:
        return node
    return replace_body(node, replace(body, retry=retry, cache=cache))


def replace_body(node: NodeSpec, body: NodeCall) -> NodeSpec:
    """Return a node that is the same but for how it is called."""
    return NodeSpec(name=node.name, triggers=node.triggers, read=node.read, body=body)


class CallContext(TaskContext):
    """A call as its code, and its driver, see it."""

    task: CallTask

    def __init__(
        self,
        run: Run,
        task: CallTask,
        caller: TaskContext,
        future: AnyFuture,
        threads: Callable[[], Workers],
        place: str,
    ) -> None:
        super().__init__(run, task)
        self.place = place
        """From where a strand of the caller calls, empty for the caller's own code."""
        self.caller = caller
        self.future = future
        self.threads = threads
        """Where an async run calls functions that are not async."""
        self.ambient: contextvars.Context | None = None
        """The context variables of the caller."""
        self.has_begun = False
        self.is_settled = False

    def begin(self) -> bool:
        """Take note that the call begins; False when its caller has cancelled it."""
        self.has_begun = True
        return not self.future.cancelled()

    @property
    def parent(self) -> TaskContext:
        """The caller."""
        return self.caller

    @property
    def traced_input(self) -> Any:
        """The arguments by name, as callback handlers are told."""
        return self.task.node.body.call.bound_arguments(self.task.input)

    def inherited_callbacks(self) -> BaseCallbackManager | None:
        """Return the caller's callbacks."""
        return self.caller.callbacks

    def checkpoint_map(self) -> dict[str, str]:
        """Return the checkpoint ids of everything the call is in."""
        return {**self.caller.checkpoint_map(), self.caller.ns: self.task.checkpoint_id}

    def watch_around(self) -> Watch | None:
        """Return who watches the caller."""
        return self.caller.watch

    def run_writer(self) -> StreamWriter:
        """Return the writer of items in the caller's namespace."""
        put = self.run.custom_put
        if put is None:
            return self.run.writer
        namespace = split_ns(self.ns)[:-1]
        return lambda item: put((namespace, "custom", item, None))

    async def call_in_thread(self, func: Callable[[], Any]) -> Any:
        """Have a worker thread call a function, and wait for its result."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        ambient = contextvars.copy_context()

        def work() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = ambient.run(func)
            except StopIteration as raised:
                error = RuntimeError(repr(raised))  # an asyncio future refuses to carry one
                error.__cause__ = raised
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(_settle_open, ended, result, error)
            except RuntimeError:
                # The loop is closed: a thread of an abandoned run speaks to nobody.
                return

        self.threads().submit(work)
        return await ended


class CallCounts(dict["TaskContext", int]):
    """How many calls each task of a run has open: such a task is taken to wait for them."""

    __slots__ = ()

    def begin(self, caller: TaskContext) -> bool:
        """Count a call; say whether the caller waits from now on."""
        count = self.get(caller, 0)
        self[caller] = count + 1
        return count == 0

    def end(self, caller: TaskContext) -> bool:
        """Count a call out; say whether the caller waits no more."""
        count = self.get(caller, 0)
        if count > 1:
            self[caller] = count - 1
            return False
        return self.forget(caller)

    def forget(self, caller: TaskContext) -> bool:
        """Note that the caller has ended; say whether it still had calls open."""
        return self.pop(caller, 0) > 0


NO_CALLS: Final = CallCounts()
"""What a run counts that has never called a task."""


def late_call_error(node: NodeSpec, caller: TaskContext) -> RuntimeError:
    """Return the error for a call by code that has outlived its task."""
    return RuntimeError(
        f"Task '{node.name}' was called after '{caller.task.name}', the task that calls it, had "
        "ended: wait for threads and background tasks that call tasks"
    )


def place_of_call(caller: TaskContext, node: NodeSpec, value: Any) -> str:
    """Return from where a strand of a task calls; empty for the task's own code."""
    if caller.run.journal is None:
        return ""
    place = strand_of(caller).place(partial(text_of, (node.name, value)))
    if place:
        note_strands(caller)
    return place


def call_too_late(caller: TaskContext, node: NodeSpec, _: Any) -> NoReturn:
    """Refuse a call by code that has outlived the run."""
    raise late_call_error(node, caller)


def note_call(caller: TaskContext) -> None:
    """Take note that a call begins or ends, a sign of life of its caller."""
    if (watch := caller.watch) is not None:
        watch.note()


def report_call(context: CallContext, error: BaseException | None) -> None:
    """Tell the machine how a call ended."""
    run, task = context.run, context.task
    note_call(context.caller)
    if error is None and not task.is_replayed:
        run.report(context, None)
    elif error is not None and not isinstance(error, ParentCommand):
        if context.place and isinstance(error, GraphInterrupt) and error.args:
            note_questions(context.caller, error.args[0])
        run.report(context, error)
    else:
        context.is_over = True
        del context.config
        if error is None:
            run.note_task(task)  # it came from the cache, which may forget it
        else:
            run.machine.fail(task, error)  # a command that its caller passes on


def settle(context: CallContext, error: BaseException | None) -> None:
    """Give the caller what became of a call, unless it has been told."""
    if context.is_settled:
        return
    context.is_settled = True
    future = context.future
    result = None
    if error is None:
        result = next((value for name, value in context.task.writes if name == RETURN), None)
    if not isinstance(future, Future):
        _settle_open(future, result, error)
        if isinstance(error, (GraphBubbleUp, RunAbandoned)) and not future.cancelled():
            # A question that its caller ignores, or a call that was dropped, is no error to
            # complain of.
            future.exception()
    elif future.set_running_or_notify_cancel():
        if isinstance(error, asyncio.CancelledError):
            error = RunAbandoned(context.run.name)
        _settle_open(future, result, error)


def _settle_open(future: AnyFuture, result: Any, error: BaseException | None) -> None:
    if future.done():
        return  # its owner has cancelled it
    if error is None:
        future.set_result(result)
    elif isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)
