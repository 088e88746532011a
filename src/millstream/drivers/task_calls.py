"""Calling a `@task` from the code of a running task: what both drivers need for it.

A driver gives the code a future, runs the call like any other task of the superstep, and settles
the future when the machine knows how the call ended.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeAlias

from millstream._base.runnable import injected_parameters, is_async_callable
from millstream._base.workers import resolve
from millstream.constants import PUSH, RETURN
from millstream.core.spec import NodeSpec
from millstream.drivers.context import TaskContext, split_ns
from millstream.drivers.current_strand import strand_of, text_of
from millstream.drivers.nodecall import NodeCall
from millstream.drivers.questions import record_questions, record_strands
from millstream.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from millstream.outbox.emitter import RunAbandoned

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackManager

    from millstream._base.workers import Workers
    from millstream.core.calls import CallTask
    from millstream.core.protocol import Write
    from millstream.core.strands import Strand
    from millstream.drivers.executor import Executor
    from millstream.drivers.heartbeats import Heartbeats
    from millstream.drivers.run import Run
    from millstream.types import CachePolicy, RetryPolicy, StreamWriter, TimeoutPolicy

AnyFuture: TypeAlias = "Future[Any] | asyncio.Future[Any]"


class FunctionCall:
    """How the function of a `@task` is called: with its own arguments, and what it wants injected.

    An argument the caller gave is not injected.
    """

    __slots__ = ("_func", "_injected", "has_async")

    steps: ClassVar[tuple[Any, ...]] = ()
    simple: ClassVar[None] = None
    asimple: ClassVar[None] = None
    may_block: ClassVar[bool] = True

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self._injected = injected_parameters(func, has_input=False)
        self.has_async = is_async_callable(func)

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

    def acall(self, value: Any, context: TaskContext) -> Awaitable[Any]:
        """Return what is to be awaited."""
        awaitable: Awaitable[Any] = self.call(value, context)
        return awaitable

    def returned(self, result: Any) -> None:
        """Return None: what a call returns is its result, whatever it is."""

    def _completed(self, kwargs: dict[str, Any], context: TaskContext) -> dict[str, Any]:
        if not self._injected:
            return kwargs
        return {**{name: context.injected(name) for name in self._injected}, **kwargs}


class Called(Protocol):
    """What a program calls, and has its node."""

    @property
    def node(self) -> NodeSpec:
        """The node of its calls."""


class CallNode(NodeSpec):
    """What a run needs to run calls of a function; it is in no graph.

    In another process it is that of the function's declaration there.
    """

    __slots__ = ("owner",)

    owner: Called | None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return how another process finds it: at what declares the function, if there is that."""
        if self.owner is None:
            return super().__reduce_ex__(protocol)
        return _node_of, (self.owner,)


def _node_of(owner: Called) -> NodeSpec:
    return owner.node


def call_node(
    func: Callable[..., Any],
    name: str,
    *,
    retry: tuple[RetryPolicy, ...],
    cache: CachePolicy[Any] | None,
    timeout: TimeoutPolicy | None,
    executor: Executor | None = None,
    owner: Called | None = None,
) -> NodeSpec:
    """Return what a run needs to run calls of a function, which its owner declares."""
    call: Any = FunctionCall(func)  # the same shape as that of a node's call
    if executor is not None and executor.is_inline:
        executor = None
    body = NodeCall(
        call=call,
        to_writes=_returned,
        retry=retry,
        cache=cache,
        timeout=timeout,
        executor=executor,
        runnable=None if executor is None else call,
    )
    node = CallNode(name=name, triggers=(PUSH,), read=_nothing, body=body)
    node.owner = owner
    return node


def _returned(result: Any) -> list[Write]:
    return [(RETURN, result)]


def _nothing(_state: object, _scratchpad: object) -> None:
    return None


def with_defaults(run: Run, node: NodeSpec) -> NodeSpec:
    """Return the node with the policies of the graph where it has none of its own."""
    body: NodeCall = node.body
    retry, cache = body.retry or run.request.retry, body.cache or run.request.cache_policy
    if retry is body.retry and cache is body.cache:
        return node
    return replace_body(node, replace(body, retry=retry, cache=cache))


def replace_body(node: NodeSpec, body: NodeCall) -> NodeSpec:
    """Return a node that is the same but for how it is called."""
    return NodeSpec(name=node.name, triggers=node.triggers, read=node.read, body=body)


class CallContext(TaskContext):
    """A call as its code, and its driver, see it."""

    run: Run
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
        self.ambient: contextvars.Context | None = None
        """The context variables of the caller."""
        self.has_begun = False
        """A thread has taken it up."""
        self.is_resolved = False

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

    def outer_heartbeats(self) -> Heartbeats | None:
        """Return who watches the caller."""
        return self.caller.heartbeats

    def run_writer(self) -> StreamWriter:
        """Return the writer of items in the caller's namespace."""
        emit = self.run.emit_custom
        if emit is None:
            return self.run.writer
        namespace = split_ns(self.ns)[:-1]
        return lambda item: emit((namespace, "custom", item, None))


def begin_call(
    run: Run,
    caller: TaskContext,
    node: NodeSpec,
    value: Any,
    place: str,
    future: AnyFuture,
    threads: Callable[[], Workers],
) -> CallContext | None:
    """Make the task of a call; None where its result is known, which the future then has.

    Raises where nobody waits for it any more.
    """
    if run.is_left:
        raise RunAbandoned(run.name)
    if caller.is_over:
        raise late_call_error(node, caller)
    record_heartbeat(caller)
    task = run.machine.call(caller.task, with_defaults(run, node), value, place)
    context = CallContext(run, task, caller, future, threads, place)
    if task.is_done:
        resolve_call(context, None)
        return None
    return context


def late_call_error(node: NodeSpec, caller: TaskContext) -> RuntimeError:
    """Return the error for a call by code that has outlived its task."""
    return RuntimeError(
        f"Task '{node.name}' was called after '{caller.task.name}', the task that calls it, had "
        "ended: wait for threads and background tasks that call tasks"
    )


def place_of_call(
    caller: TaskContext, node: NodeSpec, value: Any, strand: Strand | None = None
) -> str:
    """Return from where a strand of a task calls; empty for the task's own code.

    It is the strand of the code that calls this, if nobody says otherwise.
    """
    if caller.run.recorder is None:
        return ""
    if strand is None:
        strand = strand_of(caller)
    place = strand.place(partial(text_of, (node.name, value)))
    if place:
        record_strands(caller)
    return place


def async_call_error() -> RuntimeError:
    """Return the error for the call of an async function in a sync run."""
    return RuntimeError("In an sync context async tasks cannot be called")


def call_too_late(
    caller: TaskContext, node: NodeSpec, _: Any, __: Strand | None = None
) -> NoReturn:
    """Refuse a call by code that has outlived the run."""
    raise late_call_error(node, caller)


def record_heartbeat(caller: TaskContext) -> None:
    """Take note that a call begins or ends, a sign of life of its caller."""
    if (heartbeats := caller.heartbeats) is not None:
        heartbeats.record_event()


def report_call(context: CallContext, error: BaseException | None) -> None:
    """Tell the machine how a call ended."""
    run, task = context.run, context.task
    record_heartbeat(context.caller)
    if error is None and not task.is_replayed:
        run.report(context, None)
    elif error is not None and not isinstance(error, ParentCommand):
        if context.place and isinstance(error, GraphInterrupt) and error.args:
            record_questions(context.caller, error.args[0])
        run.report(context, error)
    else:
        context.is_over = True
        context.forget_config()
        if error is None:
            run.record_task(task)  # it came from the cache, which may forget it
        else:
            run.machine.fail(task, error)  # a command that its caller passes on


def resolve_call(context: CallContext, error: BaseException | None) -> None:
    """Give the caller what became of a call, unless it has been told."""
    if context.is_resolved:
        return
    context.is_resolved = True
    result = None
    if error is None:
        result = next((value for name, value in context.task.writes if name == RETURN), None)
    settle(context.future, context.run.name, result, error)


def settle(future: AnyFuture, run: str, result: Any, error: BaseException | None) -> None:
    """Give a future what became of a call, in the thread it is for."""
    if not isinstance(future, Future):
        resolve(future, result, error)
        if isinstance(error, (GraphBubbleUp, RunAbandoned)) and not future.cancelled():
            # A question that its caller ignores, or a call that was dropped, is no error to
            # complain of.
            future.exception()
    elif future.set_running_or_notify_cancel():
        if isinstance(error, asyncio.CancelledError):
            error = RunAbandoned(run)
        resolve(future, result, error)
